"""Sub-pixel refinement of an alignment, by least squares on the pictures' shading."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.geometry.alignment import MAX_SCALE, MIN_REDUCTION, shade, slopes
from embeddings.geometry.local_features import LocalFeatures

# Set by `python -m benchmarks geometry`: near-duplicates named so, others, and milliseconds a pair.
# Shading is what `alignment.shade` returns: 1 is the standard deviation around a pixel.

_BLURS = (2.0, 0.8)  # pixels, coarse to fine
_ROUNDS = 5  # per blur
_MIN_STEP = 0.02  # pixels; smaller steps end the iteration
_MIN_SLOPE = 0.006  # shading per pixel; flatter pixels are not informative
# Residuals far above the usual ones get little weight.
_USUAL_TIMES = 1.5  # times the median difference
_USUAL_MORE = 0.05  # shading, added to it
_HELD = 1e-4  # squared shading; regularization where the pictures are not informative
_MAX_PIXELS = 1000  # the steepest ones
_MIN_PIXELS = 60  # with fewer, nothing is refined
_MAX_CORNER_MOVE = 0.06  # of the long side; a map that moves a corner further has diverged


class _Grounds(NamedTuple):
    """The coarser and the finer picture in grey, at the same detail, and the map between them.

    `into` maps pixels of `fixed` to pixels of `moving`.
    """

    fixed: NDArray[np.float32]
    moving: NDArray[Any]
    into: NDArray[np.float64]
    is_query_fixed: bool

    def shares(self, into: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert `into` to a map of shares of the sides, from the query to the other."""
        middle = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        sizes = [np.diag([*one.shape[1::-1], 1.0]) for one in (self.fixed, self.moving)]
        mapping = np.linalg.inv(sizes[1]) @ middle @ into @ np.linalg.inv(middle) @ sizes[0]
        return mapping if self.is_query_fixed else np.linalg.inv(mapping)


def _grounds(
    query: LocalFeatures, other: LocalFeatures, shares: NDArray[np.float64]
) -> _Grounds | None:
    import cv2

    sizes = [np.array([*one.small.shape[1::-1], 1.0]) for one in (query, other)]
    across = np.diag(sizes[1]) @ shares @ np.diag(1 / sizes[0])
    finer = np.sqrt(abs(np.linalg.det(across[:2, :2])))
    if not 1 / MAX_SCALE < finer < MAX_SCALE:
        return None
    is_query_fixed = finer >= 1
    fixed, moving = (query.grey, other.grey) if is_query_fixed else (other.grey, query.grey)
    finer = max(finer, 1 / finer)
    if finer > MIN_REDUCTION:
        height, width = moving.shape
        size = max(1, round(width / finer)), max(1, round(height / finer))
        moving = np.asarray(cv2.resize(moving, size, interpolation=cv2.INTER_AREA), np.float32)
    middle = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    scales = [np.diag([*one.shape[1::-1], 1.0]) for one in (fixed, moving)]
    forward = shares if is_query_fixed else np.linalg.inv(shares)
    into = np.linalg.inv(middle) @ scales[1] @ forward @ np.linalg.inv(scales[0]) @ middle
    return _Grounds(fixed, moving, into, bool(is_query_fixed))


def refined(
    query: LocalFeatures, other: LocalFeatures, shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the map near `shares` (from the query to the other, both as shares of the sides) at
    which the shading of the small pictures agrees best; `shares` itself when there is none.

    Robust least squares: pixels that do not agree at all, such as overlaid text, count little.
    """
    ground = _grounds(query, other, shares)
    if ground is None:
        return shares
    into = ground.into
    for blur in _BLURS:
        moved = _moved(ground, into, blur)
        if moved is None:
            return shares
        into = moved
    height, width = ground.fixed.shape[:2]
    corners = np.array([[0, width, width, 0], [0, 0, height, height], [1, 1, 1, 1]])
    far = np.abs((into - ground.into)[:2] @ corners).max()
    if far > _MAX_CORNER_MOVE * max(ground.moving.shape[:2]):
        return shares
    return ground.shares(into)


def _moved(ground: _Grounds, into: NDArray[np.float64], blur: float) -> NDArray[np.float64] | None:
    import cv2

    fixed, moving = (shade(one, blur) for one in (ground.fixed, ground.moving))
    right, down = slopes(moving)
    parts = np.dstack([moving, right, down])
    steep = np.hypot(*slopes(fixed))
    height, width = moving.shape
    y, x = np.mgrid[0 : fixed.shape[0], 0 : fixed.shape[1]].astype(np.float32)
    at = into[:2] @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    inside = (at[0] > 1) & (at[0] < width - 2) & (at[1] > 1) & (at[1] < height - 2)
    strength = np.where(inside, steep.ravel(), 0)
    count = min(_MAX_PIXELS, int((strength > _MIN_SLOPE).sum()))
    if count < _MIN_PIXELS:
        return None
    chosen = np.argpartition(-strength, count - 1)[:count]
    places = np.stack([x.ravel()[chosen], y.ravel()[chosen], np.ones(count)]).astype(np.float64)
    target = fixed.ravel()[chosen]
    size = max(fixed.shape)
    scaled = places / np.array([[size], [size], [1]])
    into = into.copy()
    for _ in range(_ROUNDS):
        there = (into[:2] @ places).astype(np.float32)
        seen = cv2.remap(
            parts, there[0], there[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ).reshape(count, 3)
        wrong, sloping = target - seen[:, 0], seen[:, 1:]
        usual = _USUAL_TIMES * float(np.median(np.abs(wrong))) + _USUAL_MORE
        weights = 1 / (1 + (wrong / usual) ** 2) ** 2
        columns = (sloping[:, :, None] * scaled.T[:, None, :]).reshape(count, 6)
        weighted = columns * weights[:, None]
        try:
            step = np.linalg.solve(weighted.T @ columns + _HELD * np.eye(6), weighted.T @ wrong)
        except np.linalg.LinAlgError:
            return None
        step = step.reshape(2, 3) / np.array([size, size, 1])
        into[:2] += step
        if not np.isfinite(into).all():
            return None
        if np.abs(step @ [size, size, 1]).max() < _MIN_STEP:
            break
    return into
