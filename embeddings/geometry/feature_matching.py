"""Whether the points of two pictures lie alike, and where the one lies in the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embeddings.geometry.alignment import Likeness, lay, likeness
from embeddings.geometry.alignment_refinement import refined
from embeddings.geometry.consensus import Consensus, consensus
from embeddings.geometry.local_features import LocalFeatures

# Set by `python -m benchmarks geometry`: near-duplicates named so, and milliseconds a pair.

# Fewer pairs of points than this say nothing of where one picture lies in the other.
_MIN_INLIERS = 4
# With so much agreement (share) already, the map is worth refining; it may cost that much of it,
# since what is near enough agrees as well.
_MIN_AGREEMENT_TO_REFINE = 0.25
_MAX_AGREEMENT_LOST = 0.05
# With fewer pairs of points than this and no more agreement (share), whole pictures are laid on
# each other as well: flat ones have few points.
_ENOUGH_INLIERS = 12
_ENOUGH_AGREEMENT = 0.9
# Whole pictures lie on each other where so much (share) agrees: of flat ones, and of others.
_MAX_POINTS_FLAT = 50  # points of the one that has fewer
_MIN_AGREEMENT_FLAT = 0.85
_MIN_AGREEMENT_WHOLES = 0.95
_MAX_SHAPE_DIFFERENCE = 0.04  # ln of what the ratios of two whole pictures' sides differ by
_MIN_GLANCE = 0.8  # correlation, before whole pictures are compared more closely
_MAX_KEYPOINTS = 60  # pairs that are shown
_UNLIKE = Likeness(0.0, 0.0, 0.0, 0.0)
_MIRROR = np.array([[-1.0, 0, 1], [0, 1, 0], [0, 0, 1]])


@dataclass(frozen=True)
class Geometry:
    """How two pictures lie on each other.

    `inliers`: how many pairs of points lie alike. `agreement`: the share (0 to 1) of what both
    show that looks alike when the one is laid on the other; 0 where they do not meet.
    `transform`: two rows of three numbers that bring a place of the query (x and y as shares of
    its sides) to the other's; None where there is none. `mirrored`: whether one is the mirror
    image of the other. `outline`: the corners of the query in the other, from the query's upper
    left one on clockwise; they may lie beyond 0 to 1. `keypoints`: some of the pairs of places,
    in the query and in the other, to be shown. `error`: how far the pairs lie from where the
    transform puts them, at the median, in shares of the long side. `of_query` and `of_other`: the
    share of each that the other one shows too. `closeness`, `textured` and `drift`: see
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
    """Lay one picture on the other. Thread-safe; the same features always match alike."""
    found = consensus(query, other)
    if found is not None and found.inliers >= _MIN_INLIERS:
        ours, theirs = np.array([*query.sides, 1]), np.array([*other.sides, 1])
        shares = np.diag(1 / theirs) @ found.map @ np.diag(ours)
        by_points = _geometry(query, other, shares, found)
        if by_points.agreement > _MIN_AGREEMENT_TO_REFINE:
            closer = _geometry(query, other, refined(query, other, shares), found)
            gained = closer.agreement - by_points.agreement
            no_less = gained >= -_MAX_AGREEMENT_LOST
            if gained > _MAX_AGREEMENT_LOST or (no_less and closer.drift <= by_points.drift):
                by_points = closer
        if found.inliers >= _ENOUGH_INLIERS or by_points.agreement > _ENOUGH_AGREEMENT:
            return by_points
    else:
        by_points = NOTHING
    # Where there are points enough, and they do not agree, no more than a likeness is to be seen:
    # of two pages of text, say.
    flat = min(len(query.points), len(other.points)) < _MAX_POINTS_FLAT
    enough = _MIN_AGREEMENT_FLAT if flat else _MIN_AGREEMENT_WHOLES
    wholes = [one for one in _as_wholes(query, other) if one.agreement >= enough]
    return max([by_points, *wholes], key=lambda one: one.agreement)


def _as_wholes(query: LocalFeatures, other: LocalFeatures) -> list[Geometry]:
    """Both pictures laid on each other from edge to edge, if that could be."""
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
    found: Consensus | None = None,
) -> Geometry:
    laid = lay(query, other, shares)
    alike = likeness(laid) if laid else _UNLIKE
    corners = shares @ np.array([[0, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]])
    pairs = found.pairs[:_MAX_KEYPOINTS] if found else np.zeros((0, 2), np.intp)
    places = zip(
        query.points[pairs[:, 0], :2].tolist(), other.points[pairs[:, 1], :2].tolist(), strict=True
    )
    return Geometry(
        found.inliers if found else 0,
        alike.agreement,
        shares[:2].tolist(),
        bool(np.linalg.det(shares[:2, :2]) < 0),
        [(float(x), float(y)) for x, y in corners[:2].T],
        [((here[0], here[1]), (there[0], there[1])) for here, there in places],
        _error(query, other, shares, found.pairs) if found else 0.0,
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
    """How far pairs of points are from where a map puts them, at the median, in long sides of the
    larger picture."""
    here, there = query.points[pairs[:, 0], :2], other.points[pairs[:, 1], :2]
    missed = (here @ shares[:2, :2].T + shares[:2, 2] - there) * other.sides
    grown = abs(float(np.linalg.det(shares[:2, :2]))) * other.sides.prod() / query.sides.prod()
    return float(np.median(np.hypot(missed[:, 0], missed[:, 1])) / max(1.0, float(grown) ** 0.5))
