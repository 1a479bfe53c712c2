"""Between which scores a search may draw its line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from embeddings.recipes import DEFAULT_PIPELINE
from searchapp.models import Calibration, Index


@dataclass(frozen=True)
class Bounds:
    """Where the line may be drawn, where it is drawn if the scores show no gap, and how that is
    known, in words. `lower` ≤ `usual` ≤ `upper`, cosines."""

    lower: float
    usual: float
    upper: float
    basis: str


# Until a dataset has figures of its own: what two galleries of photographs and drawings had.
_OF_PIPELINES = {DEFAULT_PIPELINE: (0.43, 0.47, 0.58)}
# Of a pipeline that nobody has measured; its own calibration comes with the first 30 pictures.
_OF_OTHERS = (0.5, 0.6, 0.75)


def calibrations_of(indexes: Iterable[Index]) -> dict[int, Calibration]:
    """Return the calibrations of those indexes that have one, by the index's key."""
    made = Calibration.objects.filter(index__in=[index.pk for index in indexes])
    return {one.index_id: one for one in made}


def bounds_of(indexes: Sequence[Index]) -> Bounds:
    """Return where a search in these indexes, all of one fingerprint, may draw its line.

    Of several datasets each counts by its pictures: what is usual in most of what is searched.
    """
    rows = list(
        Calibration.objects.filter(index__in=[index.pk for index in indexes]).values_list(
            "lower", "usual", "upper", "images"
        )
    )
    total = sum(images for *_, images in rows)
    if not total:
        return general_bounds(indexes[0].pipeline)
    lower, usual, upper = (
        round(sum(row[place] * row[3] for row in rows) / total, 4) for place in range(3)
    )
    where = "this dataset" if len(indexes) == 1 else "these datasets"
    return Bounds(
        lower,
        usual,
        upper,
        f"Below it, a score in {where} is no better than chance.",
    )


def general_bounds(pipeline: str) -> Bounds:
    """Return the bounds for datasets that have no figures of their own."""
    known = _OF_PIPELINES.get(pipeline)
    whose = "for this model" if known else "for a model that has no figures yet"
    basis = f"The usual line {whose}: this dataset is too new or too small for one of its own."
    return Bounds(*(known or _OF_OTHERS), basis)
