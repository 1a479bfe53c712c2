"""Whether the points of two pictures lie alike, and where the one lies in the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.explain.local_features import LocalFeatures

_SIDE = 96
_BLOCK = 12
_RATIO = 0.8
_SHOWN = 60


@dataclass(frozen=True)
class Geometry:
    """How two pictures lie on each other.

    `inliers`: pairs of points that lie alike; `agreement`: the share, 0 to 1, of the common part
    that looks alike when one is laid on the other; `transform`: two rows of three numbers that
    bring a place of the query (x and y as shares of its sides) to the other's; `mirrored`:
    whether one is the mirror image of the other; `outline`: the four corners of the query in the
    other, clockwise from its upper left one, which may lie beyond 0 to 1; `keypoints`: pairs of
    places, in the query and in the other, to be shown.
    """

    inliers: int
    agreement: float
    transform: list[list[float]] | None
    mirrored: bool
    outline: list[tuple[float, float]] | None
    keypoints: list[tuple[tuple[float, float], tuple[float, float]]]


NOTHING = Geometry(0, 0.0, None, False, None, [])


def match(query: LocalFeatures, other: LocalFeatures) -> Geometry:
    """Lay one picture on the other. Thread-safe; the same features always match alike."""
    plain, turned = _attempt(query, other, False), _attempt(query, other, True)
    return max(plain, turned, key=lambda one: (one.inliers, one.agreement))


def _mirrored(descriptors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What SIFT would say of the mirrored picture: columns and directions the other way round."""
    cells = descriptors.reshape(-1, 4, 4, 8)
    return cells[:, ::-1, :, (-np.arange(8)) % 8].reshape(-1, 128)


def _attempt(query: LocalFeatures, other: LocalFeatures, mirrored: bool) -> Geometry:
    import cv2

    described = _mirrored(query.descriptors) if mirrored else query.descriptors
    if min(len(described), len(other.descriptors)) < 4:
        return NOTHING
    near = described.astype(np.float32) @ other.descriptors.astype(np.float32).T
    lengths = (other.descriptors.astype(np.float32) ** 2).sum(1)
    distance = (described.astype(np.float32) ** 2).sum(1)[:, None] + lengths - 2 * near
    two = np.partition(distance, 1, axis=1)[:, :2]
    chosen = np.flatnonzero(two[:, 0] < _RATIO**2 * two[:, 1])
    if len(chosen) < 4:
        return NOTHING
    partner = distance[chosen].argmin(axis=1)
    sides = np.array([query.width, query.height]) / max(query.width, query.height) * 480
    other_sides = np.array([other.width, other.height]) / max(other.width, other.height) * 480
    start, end = query.points[chosen, :2].copy(), other.points[partner, :2]
    if mirrored:
        start[:, 0] = 1 - start[:, 0]
    found, inside = cv2.estimateAffinePartial2D(
        start * sides, end * other_sides, ransacReprojThreshold=6.0
    )
    if found is None or abs(np.linalg.det(found[:, :2])) < 1e-3:
        return NOTHING
    kept = inside[:, 0].astype(bool)
    # From shares of the query's sides to shares of the other's.
    shares = np.vstack([found, [0, 0, 1]])
    shares = np.diag([*(1 / other_sides), 1]) @ shares @ np.diag([*sides, 1])
    if mirrored:
        shares = shares @ np.array([[-1, 0, 1], [0, 1, 0], [0, 0, 1]])
    corners = shares @ np.array([[0, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]])
    places = zip(
        query.points[chosen[kept], :2].tolist(), other.points[partner[kept], :2].tolist(),
        strict=True,
    )  # fmt: skip
    return Geometry(
        int(kept.sum()),
        _agreement(query, other, shares),
        shares[:2].tolist(),
        mirrored,
        [(float(x), float(y)) for x, y in corners[:2].T],
        [((a[0], a[1]), (b[0], b[1])) for a, b in places][:_SHOWN],
    )


def _agreement(query: LocalFeatures, other: LocalFeatures, shares: NDArray[np.float64]) -> float:
    """The share of textured blocks of the common part that look alike."""
    import cv2

    shown = cv2.resize(cv2.cvtColor(other.small, cv2.COLOR_RGB2GRAY), (_SIDE, _SIDE))
    height, width = query.small.shape[:2]
    into = np.diag([_SIDE, _SIDE, 1]) @ shares @ np.diag([1 / width, 1 / height, 1])
    grey = cv2.cvtColor(query.small, cv2.COLOR_RGB2GRAY)
    laid = cv2.warpAffine(grey, into[:2], (_SIDE, _SIDE), flags=cv2.INTER_LINEAR)
    here = cv2.warpAffine(np.full_like(grey, 255), into[:2], (_SIDE, _SIDE))

    def blocks(array: NDArray[Any]) -> NDArray[np.float32]:
        count = _SIDE // _BLOCK
        cut = array.reshape(count, _BLOCK, count, _BLOCK).transpose(0, 2, 1, 3)
        return cut.reshape(count * count, -1).astype(np.float32)

    first, second, common = blocks(laid), blocks(shown), blocks(here).min(axis=1) > 250
    first -= first.mean(axis=1, keepdims=True)
    second -= second.mean(axis=1, keepdims=True)
    spread = first.std(axis=1) * second.std(axis=1)
    textured = common & (first.std(axis=1) > 4) & (second.std(axis=1) > 4)
    if textured.sum() < 4:
        return 0.0
    alike = (first * second).mean(axis=1)[textured] / spread[textured]
    return float((alike > 0.7).mean())
