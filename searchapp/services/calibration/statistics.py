"""Statistics of a calibration: bounds, histograms and quantiles computed from scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]

STEPS = 100  # of equal width, from -1 to 1
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
# Equal pictures (1.0) are never weak, in any dataset.
MAX_BOUND = 0.95
# Gumbel quantiles: the best of N unrelated images stays below them in 90 % and in half of searches.
_NINE_OF_TEN = -math.log(-math.log(0.9))
_HALF = -math.log(-math.log(0.5))
_ONE_SIGMA = 0.1587  # the share of a normal distribution more than one deviation below its mean


@dataclass(frozen=True)
class Figures:
    """See `searchapp.models.Calibration`."""

    lower: float
    usual: float
    upper: float
    random_counts: list[int]
    nearest_counts: list[int]
    quantiles: dict[str, dict[str, float]]


def figures(pairs: Scores, nearest: Scores, images: int) -> Figures:
    """Compute the figures of a calibration for a dataset of `images` images.

    `pairs` are scores of random pairs, `nearest` of sampled images with their nearest other, both
    float32, (n,). Most random pairs are unrelated, and related ones are in the upper half; so the
    lower half gives the spread of unrelated pairs, and from that follows the best score by chance.
    """
    median = float(np.quantile(pairs, 0.5))
    spread = max(median - float(np.quantile(pairs, _ONE_SIGMA)), 1e-3)
    usual = min(MAX_BOUND, _best_of(images, median, spread, _NINE_OF_TEN))
    lower = min(usual, _best_of(images, median, spread, _HALF))
    close = float(np.quantile(nearest, 0.5)) if len(nearest) else usual
    upper = min(MAX_BOUND, max(usual, (usual + close) / 2))
    return Figures(
        lower=round(lower, 4),
        usual=round(usual, 4),
        upper=round(upper, 4),
        random_counts=histogram(pairs),
        nearest_counts=histogram(nearest),
        quantiles={"random": _quantiles(pairs), "nearest": _quantiles(nearest)},
    )


def _best_of(number: int, median: float, spread: float, times: float) -> float:
    """Return the bound on the best of `number` normal scores (Gumbel's limit)."""
    # Below 4 the limit is not an approximation: it would fall as the number rises.
    far = math.sqrt(2 * math.log(max(number, 4)))
    return median + spread * (far + times / far)


def histogram(scores: Scores) -> list[int]:
    """Count the scores in each of `STEPS` steps from -1 to 1."""
    counts, _ = np.histogram(np.clip(scores, -1, 1), bins=STEPS, range=(-1, 1))
    return [int(count) for count in counts]


def _quantiles(scores: Scores) -> dict[str, float]:
    if not len(scores):
        return {}
    return {str(share): round(float(np.quantile(scores, share)), 4) for share in QUANTILES}
