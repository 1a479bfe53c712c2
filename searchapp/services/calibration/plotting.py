"""A calibration as something to look at: bars of two histograms, lines at scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from searchapp.models import Calibration, Index
from searchapp.services.calibration.figures import STEPS

# Of the drawing, in its own units; the score 0 is at the left, 1 at the right. What lies below 0
# is drawn at 0: no model here has more than strays there.
WIDTH, HEIGHT = 400, 80
_FIRST = STEPS // 2  # the step that begins at 0


@dataclass(frozen=True)
class Bar:
    x: float
    width: float
    y: float
    height: float


@dataclass(frozen=True)
class Plot:
    """What a template draws: `random` and `nearest` are histograms of equal area, each as high as
    the drawing at its highest step; `marks` the places of scores, `line` that of the cut-off."""

    width: int
    height: int
    random: list[Bar]
    nearest: list[Bar]
    lower: float
    usual: float
    upper: float
    marks: list[float]
    line: float | None
    calibration: Calibration


def plot_of(index: Index, scores: Sequence[float] = (), cutoff: float | None = None) -> Plot | None:
    """Return the plot of an index, with the scores of a search and its cut-off where there are
    any; None where the index has no calibration (yet)."""
    made = Calibration.objects.filter(index=index.pk).first()
    if made is None:
        return None
    return Plot(
        width=WIDTH,
        height=HEIGHT,
        random=_bars(made.random_counts),
        nearest=_bars(made.nearest_counts),
        lower=_place(made.lower),
        usual=_place(made.usual),
        upper=_place(made.upper),
        marks=[_place(score) for score in scores],
        line=None if cutoff is None else _place(cutoff),
        calibration=made,
    )


def _place(score: float) -> float:
    return round(WIDTH * min(1.0, max(0.0, score)), 1)


def _bars(counts: Sequence[int]) -> list[Bar]:
    shown = [sum(counts[: _FIRST + 1]), *counts[_FIRST + 1 :]]
    highest, width = max(shown), WIDTH / len(shown)
    if not highest:
        return []
    heights = [round(HEIGHT * count / highest, 1) for count in shown]
    return [
        Bar(round(place * width, 1), round(width, 1), round(HEIGHT - height, 1), height)
        for place, height in enumerate(heights)
        if height
    ]
