"""Quality metrics of vectors: ranks, recall, precision, false matches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

_NEIGHBOURS = 5


@dataclass(frozen=True)
class Found:
    """Results of queries, one per image, in a gallery that contains these images.

    `own`: the score of the image itself; `other`: the best score of another one, which is the best
    match when the image is absent; `rank`: the image's rank, from 1, the last among equals. Each
    of shape (N,).
    """

    own: Floats
    other: Floats
    rank: npt.NDArray[np.int64]


def search(queries: Vectors, gallery: Vectors, own: Sequence[int] | None = None) -> Found:
    """Search with each of `queries` (M, D) in `gallery` (N, D); both are unit vectors.

    Row i should find row `own[i]` of the gallery, or row i without `own`.
    """
    scores = (queries @ gallery.T).astype(np.float64)
    place = (np.arange(len(queries)), np.arange(len(queries)) if own is None else np.array(own))
    right = scores[place].copy()
    scores[place] = -np.inf
    rank = 1 + (scores >= right[:, None]).sum(axis=1)
    return Found(right, scores.max(axis=1), rank)


def together(results: Sequence[Found]) -> Found:
    """Join the results of several sets of queries."""
    return Found(
        np.concatenate([one.own for one in results]),
        np.concatenate([one.other for one in results]),
        np.concatenate([one.rank for one in results]),
    )


def recall_at_1(results: Found) -> float:
    """The share of queries whose own image is first."""
    return float((results.rank == 1).mean())


def map_at_10(results: Found) -> float:
    """Mean average precision in the first ten; with one right answer, 1 / rank on average."""
    return float(np.where(results.rank <= 10, 1 / results.rank, 0).mean())


def cut_off(results: Found, share: float) -> tuple[float, float]:
    """Return the score above which at most `share` of the queries for absent images have a match.

    Also returns the recall above it: the share of queries whose own image is first and scores
    above it.
    """
    allowed = int(share * len(results.other))
    cut = float(np.sort(results.other)[::-1][allowed])
    return cut, float(((results.rank == 1) & (results.own > cut)).mean())


@dataclass(frozen=True)
class Precision:
    """Mean precision over images and over categories, 0 to 1; NaN where there are none."""

    overall: float
    by_category: float


def precision_at_5(gallery: Vectors, categories: Sequence[str]) -> Precision:
    """Return the share of an image's five nearest others that are of its category, on average.

    Categories of fewer than six images cannot reach 1 and are not queried; their images stay in
    the gallery.
    """
    scores = gallery @ gallery.T
    np.fill_diagonal(scores, -np.inf)
    nearest = np.argsort(-scores, axis=1, kind="stable")[:, :_NEIGHBOURS]
    named = np.array(categories)
    right = (named[nearest] == named[:, None]).mean(axis=1)
    large = [name for name, size in Counter(categories).items() if size > _NEIGHBOURS]
    if not large:
        return Precision(float("nan"), float("nan"))
    means = [float(right[named == name].mean()) for name in large]
    return Precision(float(right[np.isin(named, large)].mean()), sum(means) / len(means))
