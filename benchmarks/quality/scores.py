"""How well vectors find what they should: ranks, precision, false matches."""

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
    """What queries (one of each picture) found in the gallery that holds those pictures.

    `own`: the score of the picture itself; `other`: the best score of another one, what is found
    when the picture is absent; `rank`: the picture's place, 1 the first, the last among equals.
    Each of shape (N,).
    """

    own: Floats
    other: Floats
    rank: npt.NDArray[np.int64]


def search(queries: Vectors, gallery: Vectors, own: Sequence[int] | None = None) -> Found:
    """Row i of `queries` (M, D) should find row `own[i]` of `gallery` (N, D), or row i; unit
    vectors."""
    scores = (queries @ gallery.T).astype(np.float64)
    place = (np.arange(len(queries)), np.arange(len(queries)) if own is None else np.array(own))
    right = scores[place].copy()
    scores[place] = -np.inf
    rank = 1 + (scores >= right[:, None]).sum(axis=1)
    return Found(right, scores.max(axis=1), rank)


def together(found: Sequence[Found]) -> Found:
    """All queries as one set."""
    return Found(
        np.concatenate([one.own for one in found]),
        np.concatenate([one.other for one in found]),
        np.concatenate([one.rank for one in found]),
    )


def recall_at_1(found: Found) -> float:
    """The share of queries whose own picture comes first."""
    return float((found.rank == 1).mean())


def map_at_10(found: Found) -> float:
    """Mean average precision in the first ten; with one right answer, 1 / rank on average."""
    return float(np.where(found.rank <= 10, 1 / found.rank, 0).mean())


def cut_off(found: Found, share: float) -> tuple[float, float]:
    """The score above which at most `share` of the absent pictures' queries find something.

    Returns it and the recall that is left: the share of queries whose own picture comes first
    and scores above it.
    """
    allowed = int(share * len(found.other))
    cut = float(np.sort(found.other)[::-1][allowed])
    return cut, float(((found.rank == 1) & (found.own > cut)).mean())


@dataclass(frozen=True)
class Precision:
    """Precision as the mean over pictures and over categories, 0 to 1; NaN where there are none."""

    overall: float
    by_category: float


def precision_at_5(gallery: Vectors, categories: Sequence[str]) -> Precision:
    """How many of a picture's five nearest others are of its category, on average.

    Categories of fewer than six pictures cannot reach 1 and are not asked about; their pictures
    stay in the gallery.
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
