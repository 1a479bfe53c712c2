"""Calibrations as something to look at: two histograms, and scores beneath them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from searchapp.models import Calibration, Index
from searchapp.services.calibration.bounds import calibrations_of
from searchapp.services.calibration.statistics import STEPS

# Of the drawing, in its own units: the score 0 is at its left edge, 1 at the right. What lies
# below 0 is drawn at 0: that is where strangers are, for every model.
WIDTH, HEIGHT = 400, 80
_MARKED = 68  # marks go from there down
_FIRST = STEPS // 2  # the step that begins at 0


@dataclass(frozen=True)
class Band:
    x: float
    width: float
    height: float


@dataclass(frozen=True)
class Plot:
    """What `parts/scores.html` draws; places are along the drawing, 0 to `WIDTH`.

    `strangers` and `nearest` are the histograms of random pairs and of each sampled picture's best
    other, each as high as the drawing where it is highest; `marks` are the scores of a search,
    `line` is its cut-off, or else the usual one. Histograms and marks are paths (SVG).
    """

    strangers: str
    nearest: str
    band: Band  # where a search may draw its line
    line: float
    score: str  # of the line, in words
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
    """Return the plot of the indexes that a search looks at, with its scores and its cut-off; None
    where no index has been calibrated (yet)."""
    made = list(calibrations_of(indexes).values())
    return _plot(made, scores, cutoff) if made else None


def plots_of(indexes: Iterable[Index]) -> dict[int, Plot]:
    """Return the plot of each index that has been calibrated, by its key, in one statement."""
    return {pk: _plot([made], (), None) for pk, made in calibrations_of(indexes).items()}


def _plot(made: Sequence[Calibration], scores: Sequence[float], cutoff: float | None) -> Plot:
    images = sum(one.images for one in made)

    def mean(values: Iterable[float]) -> float:
        return sum(value * one.images for value, one in zip(values, made, strict=True)) / max(
            1, images
        )

    left, right = mean(one.lower for one in made), mean(one.upper for one in made)
    line = mean(one.usual for one in made) if cutoff is None else cutoff
    return Plot(
        strangers=_bars(_sum(one.random_counts for one in made)),
        nearest=_bars(_sum(one.nearest_counts for one in made)),
        band=Band(_place(left), round(_place(right) - _place(left), 1), HEIGHT),
        line=_place(line),
        score=f"{line:.2f}",
        marks="".join(f"M{_place(score):g} {_MARKED}V{HEIGHT}" for score in scores),
        sampled=sum(one.sampled for one in made),
        pairs=sum(one.pairs for one in made),
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
