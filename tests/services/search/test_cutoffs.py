"""Where the line between similar and weak is drawn: properties that hold for whatever scores."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from searchapp.services.calibration import Bounds
from searchapp.services.search.cutoff import LOOKED_AT, cut_off


def _bounds(lower: float, usual: float, upper: float) -> Bounds:
    return Bounds(lower, usual, upper, "So it is here.")


SCORES = st.lists(st.integers(-1_000_000, 1_000_000).map(lambda score: score / 1e6), max_size=120)
BOUNDS = st.lists(
    st.integers(-5000, 9500).map(lambda score: score / 1e4), min_size=3, max_size=3
).map(lambda three: _bounds(*sorted(three)))
USUAL = Bounds(0.4, 0.45, 0.6, "So it is here.")


@given(SCORES, BOUNDS)
def test_the_line_lies_within_the_bounds(scores: list[float], bounds: Bounds) -> None:
    cut = cut_off(scores, bounds)
    assert bounds.lower <= cut.score <= bounds.upper
    assert cut.reason


@given(SCORES, BOUNDS, st.randoms())
def test_neither_order_nor_what_is_far_below_matters(
    scores: list[float], bounds: Bounds, drawn: object
) -> None:
    cut = cut_off(scores, bounds)
    shuffled = list(scores)
    drawn.shuffle(shuffled)  # type: ignore[attr-defined]
    assert cut_off(shuffled, bounds) == cut
    if len(scores) >= LOOKED_AT:
        assert cut_off([*scores, -1.0, -1.0], bounds) == cut


@given(SCORES, BOUNDS)
def test_a_line_by_a_gap_lies_in_it(scores: list[float], bounds: Bounds) -> None:
    """Then no score is nearer to the line than the bounds make it: it parts two of them."""
    cut = cut_off(scores, bounds)
    if cut.reason == bounds.basis:
        assert cut.score == bounds.usual
        return
    above = [score for score in scores if score >= cut.score]
    below = [score for score in scores if score < cut.score]
    assert above
    assert below
    assert min(above) - max(below) >= 0.05


def test_a_gap_draws_the_line() -> None:
    cut = cut_off([0.91, 0.7, 0.68, 0.66, 0.47, 0.46, 0.45, 0.45, 0.44], USUAL)
    assert 0.47 < cut.score <= 0.6
    assert "0.66 to 0.47" in cut.reason


def test_without_a_gap_it_is_where_it_usually_is() -> None:
    even = [0.7 - 0.01 * place for place in range(40)]
    assert cut_off(even, USUAL).score == USUAL.usual
    assert cut_off(even, USUAL).reason == USUAL.basis
    assert cut_off([], USUAL).score == USUAL.usual


def test_gaps_among_strangers_or_among_the_alike_mean_nothing() -> None:
    assert cut_off([0.39, 0.38, 0.2, 0.19, 0.18], USUAL).reason == USUAL.basis
    assert cut_off([0.99, 0.98, 0.8, 0.79, 0.78], USUAL).reason == USUAL.basis
