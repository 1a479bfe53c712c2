"""Plots of score calibrations: two histograms as SVG paths, with scores marked beneath them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from searchapp.models import Calibration, Index
from searchapp.services.calibration.bounds import calibrations_of
from searchapp.services.calibration.statistics import STEPS

# The drawing's size in its own units: score 0 is at the left edge, 1 at the right. Scores below 0
# are drawn at 0: for every model they belong to unrelated images.
WIDTH, HEIGHT = 400, 80
_MARKED = 68  # the top of the marks
_FIRST = STEPS // 2  # the step that begins at 0


@dataclass(frozen=True)
class Band:
    x: float
    width: float
    height: float


@dataclass(frozen=True)
class Plot:
    """Data for `parts/scores.html`; positions are along the drawing, 0 to `WIDTH`.

    `strangers` and `nearest` are the histograms of random pairs and of each sampled image with its
    nearest other, both scaled to the drawing's height; `marks` are the scores of a search, `line`
    is its cut-off, or else the usual one. Histograms and marks are SVG paths.
    """

    strangers: str
    nearest: str
    band: Band  # the range of the cut-off
    line: float
    score: str  # of the line, as text
    marks: str
    sampled: int
    pairs: int
    images: int

    @property
    def view(self) -> str:
        return f"0 0 {WIDTH} {HEIGHT}"


def plot_of(
    indexes: Sequence[Index], scores: Sequence[float] = (), cutoff: float | None = None
) -> Plot | None:
    """Return the plot of the indexes of a search, with its scores and its cut-off; None when no
    index has been calibrated yet."""
    calibrations = list(calibrations_of(indexes).values())
    return _plot(calibrations, scores, cutoff) if calibrations else None


def plots_of(indexes: Iterable[Index]) -> dict[int, Plot]:
    """Return the plot of each index that has been calibrated, by its key, in one statement."""
    return {
        pk: _plot([calibration], (), None) for pk, calibration in calibrations_of(indexes).items()
    }


def _plot(
    calibrations: Sequence[Calibration], scores: Sequence[float], cutoff: float | None
) -> Plot:
    images = sum(one.images for one in calibrations)

    def mean(values: Iterable[float]) -> float:
        return sum(
            value * one.images for value, one in zip(values, calibrations, strict=True)
        ) / max(1, images)

    left, right = mean(one.lower for one in calibrations), mean(one.upper for one in calibrations)
    line = mean(one.usual for one in calibrations) if cutoff is None else cutoff
    return Plot(
        strangers=_bars(_sum(one.random_counts for one in calibrations)),
        nearest=_bars(_sum(one.nearest_counts for one in calibrations)),
        band=Band(_place(left), round(_place(right) - _place(left), 1), HEIGHT),
        line=_place(line),
        score=f"{line:.2f}",
        marks="".join(f"M{_place(score):g} {_MARKED}V{HEIGHT}" for score in scores),
        sampled=sum(one.sampled for one in calibrations),
        pairs=sum(one.pairs for one in calibrations),
        images=images,
    )


def _sum(histograms: Iterable[Sequence[int]]) -> list[int]:
    return [sum(counts) for counts in zip(*histograms, strict=True)]


def _place(score: float) -> float:
    return round(WIDTH * min(1.0, max(0.0, score)), 1)


def _bars(counts: Sequence[int]) -> str:
    shown = [sum(counts[: _FIRST + 1]), *counts[_FIRST + 1 :]]
    highest, width = max(shown), WIDTH / len(shown)
    return "".join(
        f"M{place * width:g} {HEIGHT}v{-HEIGHT * count / highest:.1f}h{width:g}V{HEIGHT}z"
        for place, count in enumerate(shown)
        if HEIGHT * count >= 0.05 * highest > 0
    )
