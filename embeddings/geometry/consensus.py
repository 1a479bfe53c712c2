"""Inlier keypoints of two pictures: the transform on which most point matches agree."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.geometry.local_features import LocalFeatures

# Set by `python -m benchmarks geometry`: near-duplicates named so, others, and milliseconds a pair.

# Ratio test: a point's best match counts if its distance (1 - cosine) is at most this share of the
# distance to the second best.
_MAX_RATIO = 0.9
_MAX_RATIO_CLEAR = 0.8  # for pairs that decide between mirrored and not
_PLAIN_INLIERS = 15  # inliers that decide it without trying the other
_MAX_PAIRS = 100  # the clearest first
# Maximum error of an inlier, in long sides of the larger picture: for a map proposed by another
# pair, and for a map fitted to all inliers.
_MAX_ERROR_GUESSED = 0.03
_MAX_ERROR_FITTED = 0.02
_ROUNDS = (
    _MAX_ERROR_GUESSED, _MAX_ERROR_GUESSED, _MAX_ERROR_GUESSED, _MAX_ERROR_FITTED,
    _MAX_ERROR_FITTED,
)  # fmt: skip
# Maximum difference of a pair's own rotation and scale from those of the map.
_MAX_TURN = 0.5  # radians
_MAX_SCALE = 0.5  # ln
# An affine map overfits when pairs are few or close together.
_MIN_PAIRS_AFFINE = 10
_MIN_SPREAD_AFFINE = 0.06  # of all pairs, in the direction of least spread; squared long sides
_MAX_STRETCH = 2.0  # times as much in one direction as in the other
_MIN_SPREAD = 1e-5  # squared long sides; pairs in one place do not determine a map
_MAX_AREA_CHANGE = 1e4  # ratio; larger and smaller ones are rounding errors
_SAME_PLACE_STEPS = 100  # per long side; pairs that lead to the same step count once

# Permutation of a SIFT descriptor under mirroring: rows of cells and directions reversed.
_MIRRORED = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].reshape(-1)


class Consensus(NamedTuple):
    """Inliers: `pairs` of indices, one into the query's points and one into the other's.

    `map` takes positions in the query to the other's, each in long sides of its picture.
    """

    pairs: NDArray[np.intp]
    map: NDArray[np.float64]
    mirrored: bool

    @property
    def inliers(self) -> int:
        return len(self.pairs)


def consensus(query: LocalFeatures, other: LocalFeatures) -> Consensus | None:
    """Return the map on which most pairs of points agree, mirrored or not; None if none do."""
    count = len(query.points)
    if min(count, len(other.points)) < 2:
        return None
    turned = np.concatenate([query.directions, query.directions[:, _MIRRORED]])
    likeness = turned @ other.directions.T
    nearest = likeness.argmax(axis=1)
    best = likeness[np.arange(2 * count), nearest]
    likeness -= other.neighbours[nearest]
    unclear = (1 - best) / np.maximum(1 - likeness.max(axis=1), 1e-6)
    clear = (unclear < _MAX_RATIO_CLEAR).reshape(2, count).sum(axis=1)
    candidates: list[Consensus] = []
    # The likelier one first: if it is clear, the other need not be tried.
    for mirrored in (False, True) if clear[0] >= clear[1] else (True, False):
        half = slice(count, None) if mirrored else slice(count)
        one = _agreed(query, other, mirrored, nearest[half], unclear[half])
        if one is not None:
            candidates.append(one)
            if one.inliers >= _PLAIN_INLIERS:
                break
    return max(candidates, key=lambda one: one.inliers, default=None)


def _agreed(
    query: LocalFeatures,
    other: LocalFeatures,
    mirrored: bool,
    nearest: NDArray[np.intp],
    unclear: NDArray[np.float32],
) -> Consensus | None:
    chosen = np.flatnonzero(unclear < _MAX_RATIO)
    if len(chosen) < 2:
        return None
    chosen = chosen[np.argsort(unclear[chosen], kind="stable")][:_MAX_PAIRS]
    partners = nearest[chosen]
    here, there = query.places[chosen], other.places[partners]
    angles = np.radians(query.points[chosen, 3])
    if mirrored:
        here[:, 0] = np.float32(query.sides[0]) - here[:, 0]
        angles = np.float32(np.pi) - angles
    turns = np.radians(other.points[partners, 3]) - angles
    scales = np.log(other.points[partners, 2] / np.maximum(query.points[chosen, 2], 1e-6))
    pairs = _Pairs(here, there, turns, scales)
    agreeing, fitted = pairs.largest()
    if fitted is None or len(agreeing) < 2:
        return None
    unique = _once(partners, there, agreeing)
    if mirrored:
        fitted = fitted @ np.array([[-1, 0, query.sides[0]], [0, 1, 0], [0, 0, 1]])
    return Consensus(np.stack([chosen[unique], partners[unique]], axis=1), fitted, mirrored)


class _Pairs:
    """Candidate pairs of positions, each with the rotation and scale of its own two points."""

    def __init__(
        self,
        here: NDArray[np.float32],
        there: NDArray[np.float32],
        turns: NDArray[np.float32],
        scales: NDArray[np.float32],
    ) -> None:
        self.here, self.there, self.turns, self.scales = here, there, turns, scales

    def largest(self) -> tuple[NDArray[np.intp], NDArray[np.float64] | None]:
        """Return the largest set of agreeing pairs and its map: each pair alone proposes a map."""
        size = np.exp(self.scales)
        cosine, sine = size * np.cos(self.turns), size * np.sin(self.turns)
        away = self.here[None] - self.here[:, None]
        error_x = self.there[:, None, 0] + cosine[:, None] * away[..., 0]
        error_x += -sine[:, None] * away[..., 1] - self.there[None, :, 0]
        error_y = self.there[:, None, 1] + sine[:, None] * away[..., 0]
        error_y += cosine[:, None] * away[..., 1] - self.there[None, :, 1]
        near = error_x**2 + error_y**2 < (_MAX_ERROR_GUESSED * np.maximum(1, size[:, None])) ** 2
        near &= np.abs(self.scales[:, None] - self.scales) < _MAX_SCALE
        near &= np.abs(_wrapped(self.turns[:, None] - self.turns)) < _MAX_TURN
        agreeing = np.flatnonzero(near[near.sum(axis=1).argmax()])
        fitted = None
        for far in _ROUNDS:
            again = self._fit(agreeing)
            if again is None:
                break
            fitted, agreeing = again, self._near(again, far)
        return agreeing, fitted

    def errors(self, fitted: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the error of each pair under a map, in long sides of the larger picture."""
        missed = self.here @ fitted[:2, :2].T + fitted[:2, 2] - self.there
        far: NDArray[np.float64] = np.hypot(missed[:, 0], missed[:, 1])
        return far / max(1.0, _scale(fitted))

    def _near(self, fitted: NDArray[np.float64], far: float) -> NDArray[np.intp]:
        turn = math.atan2(fitted[1, 0] - fitted[0, 1], fitted[0, 0] + fitted[1, 1])
        near = self.errors(fitted) < far
        near &= np.abs(self.scales - math.log(_scale(fitted))) < _MAX_SCALE
        near &= np.abs(_wrapped(self.turns - turn)) < _MAX_TURN
        return np.flatnonzero(near)

    def _fit(self, chosen: NDArray[np.intp]) -> NDArray[np.float64] | None:
        """Fit by least squares: a similarity, or an affine map where it is well determined."""
        if len(chosen) < 2:
            return None
        number = len(chosen)
        here, there = self.here[chosen].astype(np.float64), self.there[chosen].astype(np.float64)
        from_here, from_there = here.sum(axis=0) / number, there.sum(axis=0) / number
        here, there = here - from_here, there - from_there
        within, across = here.T @ here, here.T @ there
        least, most = _spreads(within / number)
        if most < _MIN_SPREAD:
            return None
        linear = None
        if number >= _MIN_PAIRS_AFFINE and number * least > _MIN_SPREAD_AFFINE:
            linear = np.linalg.solve(within, across).T
            narrow, wide = _spreads(linear @ linear.T)
            if _area(linear) <= 0 or wide > _MAX_STRETCH**2 * narrow:
                linear = None
        if linear is None:
            total = within[0, 0] + within[1, 1]
            cosine = (across[0, 0] + across[1, 1]) / total
            sine = (across[0, 1] - across[1, 0]) / total
            linear = np.array([[cosine, -sine], [sine, cosine]])
        if not 1 / _MAX_AREA_CHANGE < abs(_area(linear)) < _MAX_AREA_CHANGE:
            return None
        fitted = np.eye(3)
        fitted[:2, :2], fitted[:2, 2] = linear, from_there - linear @ from_here
        return fitted


# NumPy's general matrix routines take longer than everything else here.


def _area(matrix: NDArray[np.float64]) -> float:
    """Return the determinant of the map's linear part."""
    return float(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0])


def _scale(fitted: NDArray[np.float64]) -> float:
    return math.sqrt(abs(_area(fitted)))


def _spreads(matrix: NDArray[np.float64]) -> tuple[float, float]:
    """Return the eigenvalues of a symmetric matrix, the smaller one first."""
    middle = (matrix[0, 0] + matrix[1, 1]) / 2
    apart = math.hypot((matrix[0, 0] - matrix[1, 1]) / 2, matrix[0, 1])
    return float(middle - apart), float(middle + apart)


def _wrapped(angles: NDArray[Any]) -> NDArray[Any]:
    """Wrap angles to between -π and π."""
    turns: NDArray[Any] = np.round(angles * np.float32(0.5 / np.pi))
    return angles - np.float32(2 * np.pi) * turns


def _once(
    partners: NDArray[np.intp], there: NDArray[np.float32], agreeing: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Keep only the first of pairs that lead to the same place: they are not independent."""
    _, first = np.unique(np.round(there[agreeing] * _SAME_PLACE_STEPS), axis=0, return_index=True)
    return agreeing[np.sort(first)]
