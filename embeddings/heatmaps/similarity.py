"""Pairwise similarity heatmaps: how much each region of two pictures adds to their score.

With average pooling, the cosine of two vectors is a sum over all pairs of positions, one of each
picture. The contribution of a position is therefore exact, without training or estimation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embeddings.errors import InputError
from embeddings.heatmaps.feature_map import Places
from embeddings.heatmaps.palette import COLOURS

# Opacity of the overlay over a region without any contribution, and over the strongest one.
_FAINT, _STRONG = 0.10, 0.72
_UNSEEN = (0, 0, 0, 110)  # areas outside the model's input
_MIN_DIVISOR = 1e-12  # avoids division by zero


@dataclass(frozen=True)
class Shares:
    """The contribution of each pair of positions to the score of two pictures.

    `pairs` is float32 (positions of the first, positions of the second). If `exact`, it sums to
    `score`, the cosine of the two; otherwise, for models that do not average, it is the similarity
    of the positions, on a scale of its own.
    """

    pairs: NDArray[np.float32]
    score: float
    exact: bool

    @property
    def first(self) -> NDArray[np.float32]:
        """The contribution of each position of the first picture."""
        return self._of_places(1)

    @property
    def second(self) -> NDArray[np.float32]:
        return self._of_places(0)

    def _of_places(self, axis: int) -> NDArray[np.float32]:
        """Return the contribution of the positions, aggregated over those of the other picture."""
        added = self.pairs.sum(axis=axis) if self.exact else self.pairs.max(axis=axis)
        return np.asarray(added, np.float32)


def shares(first: Places, second: Places, *, averaged: bool) -> Shares:
    """Split the score of two pictures among their positions.

    `averaged` says whether vectors are the mean of their positions, scaled to unit length:
    `ImagePipeline.averages_places`. Raises `InputError` for feature maps of two models.
    """
    one, two = first.vectors.astype(np.float64), second.vectors.astype(np.float64)
    if one.ndim != 2 or two.ndim != 2 or one.shape[1] != two.shape[1]:
        raise InputError("The places of two models cannot be compared.")
    means = one.mean(axis=0), two.mean(axis=0)
    length = max(_MIN_DIVISOR, float(np.linalg.norm(means[0]) * np.linalg.norm(means[1])))
    score = float(means[0] @ means[1]) / length
    if averaged:
        pairs = one @ two.T / (len(one) * len(two) * length)
    else:
        lengths = np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(two, axis=1)[None, :]
        pairs = np.maximum(0, one @ two.T / np.maximum(lengths, _MIN_DIVISOR))
    return Shares(pairs.astype(np.float32), score, averaged)


def overlay(
    values: NDArray[np.float32], places: Places, size: tuple[int, int], peak: float
) -> Image.Image:
    """Return an RGBA overlay of `size` for a picture, strong where `values` are near `peak`.

    `values` has one number per position. Areas outside the model's input are darkened.
    """
    width, height = size
    x = (np.arange(width) + 0.5) / width
    y = (np.arange(height) + 0.5) / height
    heat = np.zeros((height, width), np.float32)
    times = np.zeros((height, width), np.float32)
    grids = values.reshape(len(places.views), places.side, places.side)
    for grid, view in zip(grids, places.views, strict=True):
        across, down = _into(x, view.left, view.right), _into(y, view.top, view.bottom)
        inside = ((down >= 0) & (down <= 1))[:, None] & ((across >= 0) & (across <= 1))[None, :]
        heat += np.where(inside, _smooth(grid, across, down), np.float32(0))
        times += inside
    seen = times > 0
    strength = np.clip(heat / np.maximum(times, 1) / max(peak, _MIN_DIVISOR), 0, 1)
    pixels = np.empty((height, width, 4), np.uint8)
    pixels[..., :3] = _palette()[np.round(strength * 255).astype(np.uint8)]
    pixels[..., 3] = np.round(255 * (_FAINT + (_STRONG - _FAINT) * strength))
    pixels[~seen] = _UNSEEN
    return Image.fromarray(pixels, "RGBA")


def _into(shares: NDArray[np.float64], start: float, end: float) -> NDArray[np.float64]:
    """Convert shares of a picture's side to shares of a view's side."""
    width = end - start
    return (shares - start) / (width if abs(width) > _MIN_DIVISOR else _MIN_DIVISOR)


def _smooth(
    grid: NDArray[np.float32], across: NDArray[np.float64], down: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Interpolate the values of a grid bilinearly."""
    side = grid.shape[0]
    rows = _weights(down, side)
    columns = _weights(across, side)
    return np.asarray(rows @ grid @ columns.T, np.float32)


def _weights(shares: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    """Return bilinear weights of `side` positions for each share: (shares, side)."""
    at = np.clip(shares * side - 0.5, 0, side - 1)
    near = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(side)[None, :]))
    return np.asarray(near, np.float32)


def _palette() -> NDArray[np.uint8]:
    """Return the colours of 256 strengths."""
    stops = np.array([[int(one[at : at + 2], 16) for at in (1, 3, 5)] for one in COLOURS])
    places = np.linspace(0, len(stops) - 1, 256)
    channels = [np.interp(places, np.arange(len(stops)), stops[:, of]) for of in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)
