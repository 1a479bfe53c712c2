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

_TURNED = 2.0  # degrees
_RESIZED = 0.04  # share of the size; of whole pictures, whose sizes are known, any pixel counts
_WHOLE = 0.955  # share of a picture that counts as all of it
_BOUNDS = 0.03  # how far a turned picture may miss the bounds of the page that it was turned in
# Levels of 255, of one pixel in twenty at least: much of a picture may be white before and after.
_RECOLOURED, _OF_ALL = 8.0, 95
_OVERLAID_LEVELS = 28
# Shares of what both show; other colours are never met exactly.
_OVERLAID, _OVERLAID_RECOLOURED = 0.003, 0.009
_SAVED_AGAIN, _MORE_COMPRESSED = 30, 6  # traces of JPEG, of 100
_EVEN, _STEP = 2.0, 2.0  # levels of 255; times as much
_GRID = 8
_SURE_OF_PLACE = 0.75  # pixels


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
    if abs(how.angle) > _TURNED:
        found.append(Edit.ROTATED)
    part = _part(shares, query, other, laid, how)
    if part is not None:
        found.append(part)
    resized = _is_resized(query, other, how, part is None)
    if resized:
        found.append(Edit.RESIZED)
    painted = repainted(laid)
    changed = recoloured(laid, painted) > _RECOLOURED
    if changed:
        found.append(Edit.RECOLOURED)
    if overlaid(laid, painted) > (_OVERLAID_RECOLOURED if changed else _OVERLAID):
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
    if whole and abs(how.angle) <= _TURNED:
        return any(abs(one - another) > 1 for one, another in zip(*sizes, strict=True))
    return abs(math.log(how.scale)) > _RESIZED


def _part(
    shares: NDArray[np.float64], query: LocalFeatures, other: LocalFeatures, laid: Laid, how: Placed
) -> Edit | None:
    """Whether one picture is a part of the other, and of which sort."""
    if laid.of_query >= _WHOLE and laid.of_other >= _WHOLE:
        return None
    if laid.of_other >= laid.of_query:
        larger, into = query, np.linalg.inv(shares)
    else:
        larger, into = other, shares
    corners = (into @ np.array([[0, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]]))[:2]
    bounds = np.stack([corners.min(axis=1), corners.max(axis=1)])
    turned = abs(how.angle) > _TURNED
    if turned and np.abs(bounds - [[0, 0], [1, 1]]).max() < _BOUNDS:
        return None  # the page only has the corners that turning leaves empty
    if max(laid.of_query, laid.of_other) < _WHOLE or not framed(larger, corners):
        return Edit.CROPPED
    return Edit.CONTAINS if larger is query else Edit.INSIDE


def framed(larger: LocalFeatures, corners: NDArray[np.float64]) -> bool:
    """Whether the picture ends at two sides at least of what is between the corners (shares,
    2 × 4): at the others the page may have the colour of its edge."""
    return sum(step > _STEP for step in steps(larger, corners)) >= 2


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
        if length < 8:
            continue
        outward = np.array([along[1], -along[0]]) / length
        if outward @ (start + end - 2 * middle) < 0:
            outward = -outward
        line = start + np.linspace(0.06, 0.94, 40)[:, None] * along
        strips = []
        for far in (-6.0, -2.5, 2.5, 6.0):
            at = np.floor(line + far * outward).astype(int)
            inside = ((at >= 0) & (at < size)).all(axis=1)
            strips.append((np.clip(at, 0, size - 1), inside))
        valid = np.logical_and.reduce([inside for _, inside in strips])
        if valid.sum() < 20:
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
        cv2.blur(one, (5, 5))[laid.common][::5] / np.float32(255)
        for one in (laid.query, laid.other)
    )
    terms, kept = _with_one(there), np.ones(len(here), bool)
    found = usual = np.eye(4, 3)
    for _ in range(4):
        # What the picture's own colours do not tell stays as it is.
        ridge = 3e-4 * kept.sum() * np.eye(4)
        found = np.linalg.solve(
            terms[kept].T @ terms[kept] + ridge, terms[kept].T @ here[kept] + ridge @ usual
        )
        error = np.abs(terms @ found - here).max(axis=1)
        kept = error <= max(0.03, 2 * float(np.median(error)))
    painted = _with_one(laid.other.reshape(-1, 3) / np.float32(255)) @ found.astype(np.float32)
    levels: NDArray[Any] = np.clip(255 * painted, 0, 255)
    return levels.reshape(laid.other.shape).astype(np.float32)


def _with_one(colours: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([colours, np.ones((len(colours), 1), np.float32)], axis=1)


def recoloured(laid: Laid, painted: NDArray[np.float32]) -> float:
    """By how many levels of 255 the colours were changed, where they were changed most."""
    changed = np.abs(painted - laid.other).max(axis=2)
    return float(np.percentile(changed[laid.common], _OF_ALL))


def overlaid(laid: Laid, painted: NDArray[np.float32]) -> float:
    """The share of what both show that one covers with something else.

    Its colours are not those of anything near in the other, nor is its texture: colours alone
    may only have been cut off, and texture alone is often lost.
    """
    import cv2

    inside = inner(laid, 3)
    if not inside.any():
        return 0.0
    unlike = compare(laid).alike[inside] < ALIKE
    near = np.ones((5, 5), np.uint8)
    pair = [one.astype(np.uint8) for one in (laid.query, painted)]
    bounds = [(cv2.erode(one, near), cv2.dilate(one, near)) for one in pair]
    shares = []
    for one, (low, high) in zip(pair, bounds[::-1], strict=True):
        beyond = np.maximum(cv2.subtract(one, high), cv2.subtract(low, one)).max(axis=2)
        shares.append(((beyond[inside] > _OVERLAID_LEVELS) & unlike).mean())
    return float(max(shares))


def _is_recompressed(first: LocalFeatures, last: LocalFeatures, same_grid: bool) -> bool:
    if first.compression is None or last.compression is None:
        return False
    if same_grid:
        return last.compression >= first.compression + _MORE_COMPRESSED
    return last.compression >= _SAVED_AGAIN


def _has_same_grid(
    geometry: Geometry, other: LocalFeatures, how: Placed, part: Edit | None, resized: bool
) -> bool:
    """Whether blocks of JPEG in the one are still blocks in the other."""
    quarter = abs(how.angle) % 90
    if resized or min(quarter, 90 - quarter) > _TURNED:
        return False
    if part is None:
        return not (how.mirrored and other.width % _GRID)
    transform = np.array(geometry.transform)
    corner = transform[:, 2] + (transform[:, 0] if geometry.mirrored else 0)
    offset = corner * (other.width, other.height)
    return bool(np.abs(offset - _GRID * np.round(offset / _GRID)).max() < _SURE_OF_PLACE)
