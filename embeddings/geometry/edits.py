"""What was done to a picture to make its copy."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.geometry.alignment import ALIKE, Laid, compare, inner, lay
from embeddings.geometry.feature_matching import Geometry
from embeddings.geometry.kinds import Edit
from embeddings.geometry.local_features import LocalFeatures

# Set by `python -m benchmarks geometry`: edits that were named exactly, nothing left out.

_MIN_TURN = 2.0  # degrees
_MIN_RESIZE = 0.04  # ln of the scale; of whole pictures, whose sizes are known, any pixel counts
_MIN_WHOLE = 0.955  # share of a picture that counts as all of it
# How far (shares of the sides) a turned picture may miss the bounds of the page that it was turned
# in.
_MAX_OFF_BOUNDS = 0.03
# Of one pixel in twenty at least: much of a picture may be white before and after.
_MIN_RECOLOURED = 8.0  # levels of 255
_RECOLOURED_PERCENTILE = 95
_MIN_OVERLAID_LEVELS = 28  # levels of 255 that a colour is beyond those near it
# Shares of what both show; other colours are never met exactly.
_MIN_OVERLAID = 0.003
_MIN_OVERLAID_RECOLOURED = 0.009
_OVERLAID_MARGIN = 3  # pixels at the edges that are not looked at
_NEAR = 5  # pixels, the side of a window
# Traces of JPEG (0 to 100): in a picture, and more than in the one that it was made from.
_MIN_TRACE = 30
_MIN_TRACE_GAIN = 6
_GRID = 8  # pixels of a block of JPEG
_MAX_OFF_GRID = 0.75  # pixels
# A picture ends where much more changes across its side than beside it.
_MIN_STEP = 2.0  # times as much
_EVEN = 2.0  # levels of 255 that change anywhere
_MIN_STEPS = 2  # sides
_MIN_SIDE = 8  # pixels
_SIDE_SPAN = (0.06, 0.94)  # shares of a side, between which it is looked at
_SIDE_PLACES = 40  # at which a side is looked at
_MIN_SIDE_PLACES = 20  # that lie within the picture
_STRIPS = (-6.0, -2.5, 2.5, 6.0)  # pixels outward from the side
# The linear map from the colours of one picture to those of the other.
_COLOUR_BLUR = 5  # pixels, the side of a window
_COLOUR_EVERY = 5  # pixels, of which one is looked at
_COLOUR_ROUNDS = 4
_COLOUR_HELD = 3e-4  # a pixel; what the picture's own colours do not tell stays as it is
# What the map misses by more in the last round is left out.
_MAX_COLOUR_ERROR = 0.03  # of 1, or more:
_MAX_COLOUR_ERROR_TIMES = 2.0  # times the median


class Placed(NamedTuple):
    """How the query was made from the other: turned by degrees, and how many of its pixels one
    pixel of the other became."""

    angle: float
    scale: float
    mirrored: bool


def placed(geometry: Geometry, query: LocalFeatures, other: LocalFeatures) -> Placed:
    """Read angle and scale off the transform."""
    linear = np.array(geometry.transform)[:, :2]
    linear = (
        np.diag([other.width, other.height]) @ linear @ np.diag([1 / query.width, 1 / query.height])
    )
    if geometry.mirrored:
        linear = linear @ np.diag([-1, 1])
    angle = np.degrees(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1]))
    if geometry.mirrored and abs(angle) > 90:  # turned over from top to bottom
        angle -= np.copysign(180, angle)
    return Placed(float(angle), float(1 / np.sqrt(abs(np.linalg.det(linear)))), geometry.mirrored)


def edits(geometry: Geometry, query: LocalFeatures, other: LocalFeatures) -> tuple[Edit, ...]:
    """Name every edit that shows; of two copies that differ in nothing else, `recompressed`."""
    shares = np.vstack([np.array(geometry.transform), [0, 0, 1]])
    laid = lay(query, other, shares)
    if laid is None:
        return ()
    how = placed(geometry, query, other)
    found = []
    if how.mirrored:
        found.append(Edit.MIRRORED)
    if abs(how.angle) > _MIN_TURN:
        found.append(Edit.ROTATED)
    part = _part(shares, query, other, laid, how)
    if part is not None:
        found.append(part)
    resized = _is_resized(query, other, how, part is None)
    if resized:
        found.append(Edit.RESIZED)
    painted = repainted(laid)
    changed = recoloured(laid, painted) > _MIN_RECOLOURED
    if changed:
        found.append(Edit.RECOLOURED)
    if overlaid(laid, painted) > (_MIN_OVERLAID_RECOLOURED if changed else _MIN_OVERLAID):
        found.append(Edit.OVERLAID)
    # A page was made after what it shows; else the one that shows more was there first.
    if part is Edit.CROPPED:
        came_last = query if laid.of_query >= laid.of_other else other
    elif part is None:
        came_last = other if resized and how.scale > 1 else query
    else:
        came_last = other if part is Edit.INSIDE else query
    traces = (other, query) if came_last is query else (query, other)
    if not found or _is_recompressed(*traces, _has_same_grid(geometry, other, how, part, resized)):
        found.append(Edit.RECOMPRESSED)
    return tuple(edit for edit in Edit if edit in found)


def _is_resized(query: LocalFeatures, other: LocalFeatures, how: Placed, whole: bool) -> bool:
    sizes = (query.width, query.height), (other.width, other.height)
    if whole and abs(how.angle) <= _MIN_TURN:
        return any(abs(one - another) > 1 for one, another in zip(*sizes, strict=True))
    return abs(math.log(how.scale)) > _MIN_RESIZE


def _part(
    shares: NDArray[np.float64], query: LocalFeatures, other: LocalFeatures, laid: Laid, how: Placed
) -> Edit | None:
    """Whether one picture is a part of the other, and of which sort."""
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
        return None  # the page only has the corners that turning leaves empty
    if max(laid.of_query, laid.of_other) < _MIN_WHOLE or not framed(larger, corners):
        return Edit.CROPPED
    return Edit.CONTAINS if larger is query else Edit.INSIDE


def framed(larger: LocalFeatures, corners: NDArray[np.float64]) -> bool:
    """Whether the picture ends at two sides at least of what is between the corners (shares,
    2 × 4): at the others the page may have the colour of its edge."""
    return sum(step > _MIN_STEP for step in steps(larger, corners)) >= _MIN_STEPS


def steps(larger: LocalFeatures, corners: NDArray[np.float64]) -> list[float]:
    """For each side that lies inside, how much more changes across it than beside it."""
    small = larger.small.astype(np.float32)
    size = np.array(small.shape[1::-1])
    places = corners.T * size
    middle = places.mean(axis=0)
    found = []
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
        found.append(float(across / max(np.mean(beside), _EVEN)))
    return found


def repainted(laid: Laid) -> NDArray[np.float32]:
    """The other in the colours of the query, by the linear map that suits most of it."""
    import cv2

    here, there = (
        cv2.blur(one, (_COLOUR_BLUR, _COLOUR_BLUR))[laid.common][::_COLOUR_EVERY] / np.float32(255)
        for one in (laid.query, laid.other)
    )
    terms, kept = _with_one(there), np.ones(len(here), bool)
    found = usual = np.eye(4, 3)
    for _ in range(_COLOUR_ROUNDS):
        ridge = _COLOUR_HELD * kept.sum() * np.eye(4)
        found = np.linalg.solve(
            terms[kept].T @ terms[kept] + ridge, terms[kept].T @ here[kept] + ridge @ usual
        )
        error = np.abs(terms @ found - here).max(axis=1)
        kept = error <= max(_MAX_COLOUR_ERROR, _MAX_COLOUR_ERROR_TIMES * float(np.median(error)))
    painted = _with_one(laid.other.reshape(-1, 3) / np.float32(255)) @ found.astype(np.float32)
    levels: NDArray[Any] = np.clip(255 * painted, 0, 255)
    return levels.reshape(laid.other.shape).astype(np.float32)


def _with_one(colours: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([colours, np.ones((len(colours), 1), np.float32)], axis=1)


def recoloured(laid: Laid, painted: NDArray[np.float32]) -> float:
    """By how many levels of 255 the colours were changed, where they were changed most."""
    changed = np.abs(painted - laid.other).max(axis=2)
    return float(np.percentile(changed[laid.common], _RECOLOURED_PERCENTILE))


def overlaid(laid: Laid, painted: NDArray[np.float32]) -> float:
    """The share of what both show that one covers with something else.

    Its colours are not those of anything near in the other, nor is its texture: colours alone
    may only have been cut off, and texture alone is often lost.
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
    """Whether blocks of JPEG in the one are still blocks in the other."""
    quarter = abs(how.angle) % 90
    if resized or min(quarter, 90 - quarter) > _MIN_TURN:
        return False
    if part is None:
        return not (how.mirrored and other.width % _GRID)
    transform = np.array(geometry.transform)
    corner = transform[:, 2] + (transform[:, 0] if geometry.mirrored else 0)
    offset = corner * (other.width, other.height)
    return bool(np.abs(offset - _GRID * np.round(offset / _GRID)).max() < _MAX_OFF_GRID)
