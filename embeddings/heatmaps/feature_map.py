"""The model's last feature map: vectors of its positions, and the area each view covers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embeddings.errors import RecipeError
from embeddings.operators.multi_view import embed_views
from embeddings.pipelines import ImagePipeline
from embeddings.runtimes.loader import load_network

# A chart of coordinates with this long side locates a view to within a hundredth.
_CHART = 512
_MARK = 255  # the chart's blue; a border added by a transform has another value
_NEAR = 8


@dataclass(frozen=True)
class View:
    """The position of a view: its left, top, right and bottom edges as shares of the picture's
    sides. In a mirrored view the left edge is to the right of the right one; a view with a border
    around the picture extends outside 0 to 1."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Places:
    """The feature map of all views: `vectors`, float32 (views x side x side, D), row by row within
    a view."""

    vectors: NDArray[np.float32]
    views: tuple[View, ...]
    side: int


def places_of(pipeline: ImagePipeline, picture: Image.Image) -> Places:
    """Return the feature map of an RGB picture, computed with the model of `pipeline`.

    The first call loads the network, and the first call on a machine converts it, which takes
    some seconds. Thread-safe.

    Raises `RecipeError` for a model without a square map, and what loading a network raises.
    """
    spec = pipeline.places_spec()
    network = load_network(spec, pipeline.runtime, pipeline.precision, pipeline.device)
    prepared = pipeline.prepare(picture)
    views = prepared if prepared.ndim == 4 else prepared[None]
    rows = np.concatenate([embed_views(network, [view]) for view in views])
    side = math.isqrt(rows.shape[1] // pipeline.recipe.dimension)
    channels = rows.shape[1] // (side * side) if side else 0
    if not side or side * side * channels != rows.shape[1]:
        raise RecipeError(f"The model of {pipeline.recipe.name!r} gives no square map of places.")
    positions = _views(pipeline, picture.size)
    return Places(rows.reshape(-1, channels), positions, side)


def _views(pipeline: ImagePipeline, size: tuple[int, int]) -> tuple[View, ...]:
    """Return the positions of the views in a picture of this size, found by running the transforms
    on a chart whose colours are coordinates."""
    scale = min(1.0, _CHART / max(size))
    width, height = (max(1, round(side * scale)) for side in size)
    across = np.linspace(0, 255, 2 * width + 1)[1::2]
    down = np.linspace(0, 255, 2 * height + 1)[1::2]
    chart = np.full((height, width, 3), _MARK, np.uint8)
    chart[..., 0] = np.round(across)[None, :]
    chart[..., 1] = np.round(down)[:, None]
    prepared = pipeline.prepare(Image.fromarray(chart))
    views = prepared if prepared.ndim == 4 else prepared[None]
    return tuple(_view(view.astype(np.float64)) for view in views)


def _view(chart: NDArray[np.float64]) -> View:
    shown = chart[2] > _MARK - _NEAR
    left, right = _edges(chart[0], shown, axis=0)
    top, bottom = _edges(chart[1], shown, axis=1)
    return View(left, top, right, bottom)


def _edges(shares: NDArray[np.float64], shown: NDArray[np.bool_], axis: int) -> tuple[float, float]:
    """Return the coordinates at both edges of a view, from a line fitted to its columns or rows."""
    number = shown.sum(axis=axis)
    there = np.flatnonzero(number > 0)
    if len(there) > 4:  # the outermost ones are blended with the border
        there = there[1:-1]
    if not len(there):
        return 0.0, 1.0
    means = (shares * shown).sum(axis=axis)[there] / number[there] / 255
    size = shares.shape[1 - axis]
    if len(there) < 2 or np.ptp(means) < 1e-3:
        return 0.0, 1.0
    slope, start = np.polyfit((there + 0.5) / size, means, 1)
    return float(start), float(start + slope)
