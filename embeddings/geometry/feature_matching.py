"""Matching of local features: `match` finds where one picture lies in the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embeddings.geometry.alignment import Likeness, lay, likeness
from embeddings.geometry.alignment_refinement import refined
from embeddings.geometry.consensus import Consensus, consensus
from embeddings.geometry.local_features import LocalFeatures

# Set by `python -m benchmarks geometry`: near-duplicates named so, and milliseconds a pair.

# With fewer inliers than this, the position of one picture in the other is unknown.
_MIN_INLIERS = 4
# From this agreement (share) on, the map is refined. Refinement may lose so much agreement, since
# nearly aligned pixels agree as well.
_MIN_AGREEMENT_TO_REFINE = 0.25
_MAX_AGREEMENT_LOST = 0.05
# With fewer inliers and less agreement (share) than this, the whole pictures are aligned as well:
# flat pictures have few points.
_ENOUGH_INLIERS = 12
_ENOUGH_AGREEMENT = 0.9
# Whole pictures match from this agreement (share) on: flat ones, and others.
_MAX_POINTS_FLAT = 50  # points of the picture with fewer
_MIN_AGREEMENT_FLAT = 0.85
_MIN_AGREEMENT_WHOLES = 0.95
_MAX_SHAPE_DIFFERENCE = 0.04  # ln of the ratio of two whole pictures' aspect ratios
_MIN_GLANCE = 0.8  # correlation of thumbnails, before whole pictures are compared
_MAX_KEYPOINTS = 60  # pairs returned for display
_UNLIKE = Likeness(0.0, 0.0, 0.0, 0.0)
_MIRROR = np.array([[-1.0, 0, 1], [0, 1, 0], [0, 0, 1]])


@dataclass(frozen=True)
class Geometry:
    """How two pictures are aligned.

    `inliers`: the number of point pairs that agree with the transform. `agreement`: the share (0 to
    1) of the overlap that looks alike; 0 without an overlap. `transform`: a 2 x 3 matrix that maps
    positions in the query (x and y as shares of its sides) to the other; None if there is none.
    `mirrored`: whether one is the mirror image of the other. `outline`: the corners of the query in
    the other, clockwise from the query's upper left; they may lie outside 0 to 1. `keypoints`: some
    of the point pairs, in the query and in the other, for display. `error`: the median error of the
    pairs under the transform, in shares of the long side. `of_query` and `of_other`: the share of
    each picture that the overlap covers. `closeness`, `textured` and `drift`: see
    `embeddings.geometry.alignment.Likeness`.
    """

    inliers: int
    agreement: float
    transform: list[list[float]] | None
    mirrored: bool
    outline: list[tuple[float, float]] | None
    keypoints: list[tuple[tuple[float, float], tuple[float, float]]]
    error: float = 0.0
    of_query: float = 0.0
    of_other: float = 0.0
    closeness: float = 0.0
    textured: float = 0.0
    drift: float = 0.0


NOTHING = Geometry(0, 0.0, None, False, None, [])


def match(query: LocalFeatures, other: LocalFeatures) -> Geometry:
    """Align the query with the other picture. Thread-safe and deterministic."""
    fit = consensus(query, other)
    if fit is not None and fit.inliers >= _MIN_INLIERS:
        ours, theirs = np.array([*query.sides, 1]), np.array([*other.sides, 1])
        shares = np.diag(1 / theirs) @ fit.map @ np.diag(ours)
        by_points = _geometry(query, other, shares, fit)
        if by_points.agreement > _MIN_AGREEMENT_TO_REFINE:
            closer = _geometry(query, other, refined(query, other, shares), fit)
            gained = closer.agreement - by_points.agreement
            no_less = gained >= -_MAX_AGREEMENT_LOST
            if gained > _MAX_AGREEMENT_LOST or (no_less and closer.drift <= by_points.drift):
                by_points = closer
        if fit.inliers >= _ENOUGH_INLIERS or by_points.agreement > _ENOUGH_AGREEMENT:
            return by_points
    else:
        by_points = NOTHING
    # Enough points that do not agree mean no more than a resemblance, as between two pages of
    # text.
    flat = min(len(query.points), len(other.points)) < _MAX_POINTS_FLAT
    enough = _MIN_AGREEMENT_FLAT if flat else _MIN_AGREEMENT_WHOLES
    wholes = [one for one in _as_wholes(query, other) if one.agreement >= enough]
    return max([by_points, *wholes], key=lambda one: one.agreement)


def _as_wholes(query: LocalFeatures, other: LocalFeatures) -> list[Geometry]:
    """Align both pictures edge to edge, if their shapes allow it."""
    shapes = query.sides[0] / query.sides[1] * other.sides[1] / other.sides[0]
    if abs(np.log(shapes)) > _MAX_SHAPE_DIFFERENCE:
        return []
    maps = (
        (query.glance, np.eye(3)),
        (query.glance[:, ::-1], _MIRROR),
    )
    return [
        _geometry(query, other, shares)
        for glance, shares in maps
        if (glance * other.glance).sum() > _MIN_GLANCE
    ]


def _geometry(
    query: LocalFeatures,
    other: LocalFeatures,
    shares: NDArray[np.float64],
    fit: Consensus | None = None,
) -> Geometry:
    laid = lay(query, other, shares)
    alike = likeness(laid) if laid else _UNLIKE
    corners = shares @ np.array([[0, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]])
    pairs = fit.pairs[:_MAX_KEYPOINTS] if fit else np.zeros((0, 2), np.intp)
    places = zip(
        query.points[pairs[:, 0], :2].tolist(), other.points[pairs[:, 1], :2].tolist(), strict=True
    )
    return Geometry(
        fit.inliers if fit else 0,
        alike.agreement,
        shares[:2].tolist(),
        bool(np.linalg.det(shares[:2, :2]) < 0),
        [(float(x), float(y)) for x, y in corners[:2].T],
        [((here[0], here[1]), (there[0], there[1])) for here, there in places],
        _error(query, other, shares, fit.pairs) if fit else 0.0,
        laid.of_query if laid else 0.0,
        laid.of_other if laid else 0.0,
        alike.closeness,
        alike.textured,
        alike.drift,
    )


def _error(
    query: LocalFeatures,
    other: LocalFeatures,
    shares: NDArray[np.float64],
    pairs: NDArray[np.intp],
) -> float:
    """Return the median error of point pairs under a map, in long sides of the larger picture."""
    here, there = query.points[pairs[:, 0], :2], other.points[pairs[:, 1], :2]
    missed = (here @ shares[:2, :2].T + shares[:2, 2] - there) * other.sides
    grown = abs(float(np.linalg.det(shares[:2, :2]))) * other.sides.prod() / query.sides.prod()
    return float(np.median(np.hypot(missed[:, 0], missed[:, 1])) / max(1.0, float(grown) ** 0.5))
