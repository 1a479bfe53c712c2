"""What scores mean in a dataset: figures of made-up galleries, in which the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from searchapp.services.calibration.statistics import MAX_BOUND, STEPS, Scores, figures, histogram

UNIT = st.floats(-1, 1, width=32)


def _gallery(kinds: int, each: int, spread: float, seed: int = 5) -> Scores:
    """Unit vectors: `kinds` directions, `each` pictures about every one."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.standard_normal((kinds, 64)), each, axis=0)
    vectors = centres + spread * rng.standard_normal(centres.shape)
    unit: Scores = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _scores(vectors: Scores) -> tuple[Scores, Scores]:
    scores = vectors @ vectors.T
    pairs = scores[np.triu_indices(len(vectors), 1)]
    np.fill_diagonal(scores, -1)
    return pairs, scores.max(axis=1)


def test_strangers_are_weak_and_pictures_of_a_kind_are_not() -> None:
    vectors = _gallery(kinds=40, each=6, spread=0.6)
    result = figures(*_scores(vectors), images=len(vectors))
    strangers = _gallery(kinds=240, each=1, spread=0.0, seed=6)
    best = (strangers @ vectors.T).max(axis=1)
    assert (best < result.usual).mean() > 0.85
    own = (vectors @ vectors.T)[np.kron(np.eye(40), np.ones((6, 6))).astype(bool)]
    assert (own >= result.upper).mean() > 0.9


@given(st.integers(2, 10**9), st.integers(2, 10**9))
def test_the_more_pictures_the_higher_the_best_stranger(few: int, many: int) -> None:
    few, many = sorted((few, many))
    pairs = np.random.default_rng(3).normal(0.2, 0.06, 500).astype(np.float32)
    nearest = np.full(50, 0.6, np.float32)
    assert figures(pairs, nearest, few).usual <= figures(pairs, nearest, many).usual


@given(
    arrays(np.float32, st.integers(1, 60), elements=UNIT),
    arrays(np.float32, st.integers(0, 60), elements=UNIT),
    st.integers(1, 10**7),
)
def test_bounds_are_in_order_and_equal_pictures_are_never_weak(
    pairs: Scores, nearest: Scores, images: int
) -> None:
    result = figures(pairs, nearest, images)
    assert result.lower <= result.usual <= result.upper <= MAX_BOUND
    assert sum(result.random_counts) == len(pairs)
    assert sum(result.nearest_counts) == len(nearest)


def test_histograms_count_the_ends_too() -> None:
    counts = histogram(np.array([-1, -1.0001, 0, 0.999, 1, 1.0001], np.float32))
    assert len(counts) == STEPS
    assert counts[0] == 2
    assert counts[STEPS // 2] == 1
    assert counts[-1] == 3


@pytest.mark.parametrize("alike", [0.5, 1.0])
def test_a_gallery_of_one_kind_calls_what_is_as_alike_similar(alike: float) -> None:
    pairs, nearest = np.full(435, alike, np.float32), np.full(30, alike, np.float32)
    assert figures(pairs, nearest, 30).upper <= max(alike, MAX_BOUND)
