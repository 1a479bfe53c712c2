"""Detection of edits in copies of pictures: crop, resize, mirror, overlay, recompression."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.geometry.alignment import ALIKE, Alignment, compare, inner, lay
from embeddings.geometry.feature_matching import Geometry
from embeddings.geometry.kinds import Edit
from embeddings.geometry.local_features import LocalFeatures

# Set by `python -m benchmarks geometry`: share of pairs whose edits are named exactly.

_MIN_TURN = 2.0  # degrees
_MIN_RESIZE = 0.04  # ln of the scale; for whole pictures, whose sizes are known, any pixel counts
_MIN_WHOLE = 0.955  # share of a picture that counts as all of it
# Tolerance (shares of the sides) for the bounds of the page in which a picture was rotated.
_MAX_OFF_BOUNDS = 0.03
# The change of at least one pixel in twenty: much of a picture may be white before and after.
_MIN_RECOLOURED = 8.0  # levels of 255
_RECOLOURED_PERCENTILE = 95
_MIN_OVERLAID_LEVELS = 28  # levels of 255 between a colour and the range of those near it
# Shares of the overlap; recoloured pictures never match exactly.
_MIN_OVERLAID = 0.003
_MIN_OVERLAID_RECOLOURED = 0.009
_OVERLAID_MARGIN = 3  # pixels at the edges that are ignored
_NEAR = 5  # pixels, the side of a window
# Traces of JPEG (0 to 100): minimum in a picture, and minimum excess over its source.
_MIN_TRACE = 30
_MIN_TRACE_GAIN = 6
_GRID = 8  # pixels of a JPEG block
_MAX_OFF_GRID = 0.75  # pixels
# The border of a picture shows as a step: the change across it is much larger than beside it.
_MIN_STEP = 2.0  # ratio
_EVEN = 2.0  # levels of 255; change that occurs anywhere
_MIN_STEPS = 2  # sides
_MIN_SIDE = 8  # pixels
_SIDE_SPAN = (0.06, 0.94)  # shares of a side, between which it is sampled
_SIDE_PLACES = 40  # samples per side
_MIN_SIDE_PLACES = 20  # samples within the picture
_STRIPS = (-6.0, -2.5, 2.5, 6.0)  # pixels outward from the side
# The linear map from the colours of one picture to those of the other.
_COLOUR_BLUR = 5  # pixels, the side of a window
_COLOUR_EVERY = 5  # pixels; the sampling step
_COLOUR_ROUNDS = 4
_COLOUR_HELD = 3e-4  # per pixel; regularization towards unchanged colours
# Pixels with larger errors are left out of the last round.
_MAX_COLOUR_ERROR = 0.03  # of 1, or if larger:
_MAX_COLOUR_ERROR_TIMES = 2.0  # times the median


class Placed(NamedTuple):
    """How the query was made from the other: rotation in degrees, and the scale, in pixels of the
    query per pixel of the other."""

    angle: float
    scale: float
    mirrored: bool


def placed(geometry: Geometry, query: LocalFeatures, other: LocalFeatures) -> Placed:
    """Read angle and scale from the transform."""
    linear = np.array(geometry.transform)[:, :2]
    linear = (
        np.diag([other.width, other.height]) @ linear @ np.diag([1 / query.width, 1 / query.height])
    )
    if geometry.mirrored:
        linear = linear @ np.diag([-1, 1])
    angle = np.degrees(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1]))
    if geometry.mirrored and abs(angle) > 90:  # flipped vertically
        angle -= np.copysign(180, angle)
    return Placed(float(angle), float(1 / np.sqrt(abs(np.linalg.det(linear)))), geometry.mirrored)


def edits(geometry: Geometry, query: LocalFeatures, other: LocalFeatures) -> tuple[Edit, ...]:
    """Return every detected edit; `recompressed` for copies without any other difference."""
    shares = np.vstack([np.array(geometry.transform), [0, 0, 1]])
    laid = lay(query, other, shares)
    if laid is None:
        return ()
    how = placed(geometry, query, other)
    detected = []
    if how.mirrored:
        detected.append(Edit.MIRRORED)
    if abs(how.angle) > _MIN_TURN:
        detected.append(Edit.ROTATED)
    part = _part(shares, query, other, laid, how)
    if part is not None:
        detected.append(part)
    resized = _is_resized(query, other, how, part is None)
    if resized:
        detected.append(Edit.RESIZED)
    painted = repainted(laid)
    changed = recoloured(laid, painted) > _MIN_RECOLOURED
    if changed:
        detected.append(Edit.RECOLOURED)
    if overlaid(laid, painted) > (_MIN_OVERLAID_RECOLOURED if changed else _MIN_OVERLAID):
        detected.append(Edit.OVERLAID)
    # A page is newer than the picture in it; otherwise the one that shows more is the original.
    if part is Edit.CROPPED:
        came_last = query if laid.of_query >= laid.of_other else other
    elif part is None:
        came_last = other if resized and how.scale > 1 else query
    else:
        came_last = other if part is Edit.INSIDE else query
    traces = (other, query) if came_last is query else (query, other)
    if not detected or _is_recompressed(
        *traces, _has_same_grid(geometry, other, how, part, resized)
    ):
        detected.append(Edit.RECOMPRESSED)
    return tuple(edit for edit in Edit if edit in detected)


def _is_resized(query: LocalFeatures, other: LocalFeatures, how: Placed, whole: bool) -> bool:
    sizes = (query.width, query.height), (other.width, other.height)
    if whole and abs(how.angle) <= _MIN_TURN:
        return any(abs(one - another) > 1 for one, another in zip(*sizes, strict=True))
    return abs(math.log(how.scale)) > _MIN_RESIZE


def _part(
    shares: NDArray[np.float64],
    query: LocalFeatures,
    other: LocalFeatures,
    laid: Alignment,
    how: Placed,
) -> Edit | None:
    """Return whether one picture is a part of the other, and how; None if it is not."""
    if laid.of_query >= _MIN_WHOLE and laid.of_other >= _MIN_WHOLE:
        return None
    if laid.of_other >= laid.of_query:
        larger, into = query, np.linalg.inv(shares)
    else:
        larger, into = other, shares
    corners = (into @ np.array([[0, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]]))[:2]
    bounds = np.stack([corners.min(axis=1), corners.max(axis=1)])
    turned = abs(how.angle) > _MIN_TURN
    if turned and np.abs(bounds - [[0, 0], [1, 1]]).max() < _MAX_OFF_BOUNDS:
        return None  # the page consists of the empty corners left by rotation
    if max(laid.of_query, laid.of_other) < _MIN_WHOLE or not framed(larger, corners):
        return Edit.CROPPED
    return Edit.CONTAINS if larger is query else Edit.INSIDE


def framed(larger: LocalFeatures, corners: NDArray[np.float64]) -> bool:
    """Whether at least two sides of the area between the corners (shares, 2 x 4) are borders: at
    the others the page may have the colour of the picture's edge."""
    return sum(step > _MIN_STEP for step in steps(larger, corners)) >= _MIN_STEPS


def steps(larger: LocalFeatures, corners: NDArray[np.float64]) -> list[float]:
    """Return, for each inner side, the ratio of the change across it to the change beside it."""
    small = larger.small.astype(np.float32)
    size = np.array(small.shape[1::-1])
    places = corners.T * size
    middle = places.mean(axis=0)
    ratios = []
    for start, end in zip(places, np.roll(places, -1, axis=0), strict=True):
        along = end - start
        length = np.hypot(*along)
        if length < _MIN_SIDE:
            continue
        outward = np.array([along[1], -along[0]]) / length
        if outward @ (start + end - 2 * middle) < 0:
            outward = -outward
        line = start + np.linspace(*_SIDE_SPAN, _SIDE_PLACES)[:, None] * along
        strips = []
        for far in _STRIPS:
            at = np.floor(line + far * outward).astype(int)
            inside = ((at >= 0) & (at < size)).all(axis=1)
            strips.append((np.clip(at, 0, size - 1), inside))
        valid = np.logical_and.reduce([inside for _, inside in strips])
        if valid.sum() < _MIN_SIDE_PLACES:
            continue
        deep, near, beyond, far_out = (small[at[valid, 1], at[valid, 0]] for at, _ in strips)
        across = np.abs(near - beyond).max(axis=1).mean()
        beside = (
            np.abs(deep - near).max(axis=1).mean(),
            np.abs(beyond - far_out).max(axis=1).mean(),
        )
        ratios.append(float(across / max(np.mean(beside), _EVEN)))
    return ratios


def repainted(laid: Alignment) -> NDArray[np.float32]:
    """Return the other picture recoloured to match the query, by a robust linear map."""
    import cv2

    here, there = (
        cv2.blur(one, (_COLOUR_BLUR, _COLOUR_BLUR))[laid.common][::_COLOUR_EVERY] / np.float32(255)
        for one in (laid.query, laid.other)
    )
    terms, inliers = _with_one(there), np.ones(len(here), bool)
    matrix = usual = np.eye(4, 3)
    for _ in range(_COLOUR_ROUNDS):
        ridge = _COLOUR_HELD * inliers.sum() * np.eye(4)
        matrix = np.linalg.solve(
            terms[inliers].T @ terms[inliers] + ridge,
            terms[inliers].T @ here[inliers] + ridge @ usual,
        )
        error = np.abs(terms @ matrix - here).max(axis=1)
        inliers = error <= max(_MAX_COLOUR_ERROR, _MAX_COLOUR_ERROR_TIMES * float(np.median(error)))
    painted = _with_one(laid.other.reshape(-1, 3) / np.float32(255)) @ matrix.astype(np.float32)
    levels: NDArray[Any] = np.clip(255 * painted, 0, 255)
    return levels.reshape(laid.other.shape).astype(np.float32)


def _with_one(colours: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([colours, np.ones((len(colours), 1), np.float32)], axis=1)


def recoloured(laid: Alignment, painted: NDArray[np.float32]) -> float:
    """Return the change of colours in levels of 255, where it is largest."""
    changed = np.abs(painted - laid.other).max(axis=2)
    return float(np.percentile(changed[laid.common], _RECOLOURED_PERCENTILE))


def overlaid(laid: Alignment, painted: NDArray[np.float32]) -> float:
    """Return the share of the overlap that one picture covers with something else.

    Covered pixels match nothing nearby in the other, in neither colour nor texture: a colour
    alone may have been clipped, and texture alone is often lost.
    """
    import cv2

    inside = inner(laid, _OVERLAID_MARGIN)
    if not inside.any():
        return 0.0
    unlike = compare(laid).alike[inside] < ALIKE
    near = np.ones((_NEAR, _NEAR), np.uint8)
    pair = [one.astype(np.uint8) for one in (laid.query, painted)]
    bounds = [(cv2.erode(one, near), cv2.dilate(one, near)) for one in pair]
    shares = []
    for one, (low, high) in zip(pair, bounds[::-1], strict=True):
        beyond = np.maximum(cv2.subtract(one, high), cv2.subtract(low, one)).max(axis=2)
        shares.append(((beyond[inside] > _MIN_OVERLAID_LEVELS) & unlike).mean())
    return float(max(shares))


def _is_recompressed(first: LocalFeatures, last: LocalFeatures, same_grid: bool) -> bool:
    if first.compression is None or last.compression is None:
        return False
    if same_grid:
        return last.compression >= first.compression + _MIN_TRACE_GAIN
    return last.compression >= _MIN_TRACE


def _has_same_grid(
    geometry: Geometry, other: LocalFeatures, how: Placed, part: Edit | None, resized: bool
) -> bool:
    """Whether the JPEG blocks of one picture are aligned with those of the other."""
    quarter = abs(how.angle) % 90
    if resized or min(quarter, 90 - quarter) > _MIN_TURN:
        return False
    if part is None:
        return not (how.mirrored and other.width % _GRID)
    transform = np.array(geometry.transform)
    corner = transform[:, 2] + (transform[:, 0] if geometry.mirrored else 0)
    offset = corner * (other.width, other.height)
    return bool(np.abs(offset - _GRID * np.round(offset / _GRID)).max() < _MAX_OFF_GRID)
