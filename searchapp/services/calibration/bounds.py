"""Calibrated bounds of the score cut-off of a search."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from embeddings.recipes import DEFAULT_PIPELINE
from searchapp.models import Calibration, Index


@dataclass(frozen=True)
class Bounds:
    """The range of the cut-off, its value when the scores have no gap (`usual`), and the basis of
    the figures as text. `lower` ≤ `usual` ≤ `upper`, cosines."""

    lower: float
    usual: float
    upper: float
    basis: str


# For datasets without figures of their own: measured on two galleries of photographs and drawings.
_OF_PIPELINES = {DEFAULT_PIPELINE: (0.43, 0.47, 0.58)}
# For pipelines that have not been measured; a dataset is calibrated from 30 images on.
_OF_OTHERS = (0.5, 0.6, 0.75)


def calibrations_of(indexes: Iterable[Index]) -> dict[int, Calibration]:
    """Return the calibrations of those indexes that have one, by the index's key."""
    calibrations = Calibration.objects.filter(index__in=[index.pk for index in indexes])
    return {one.index_id: one for one in calibrations}


def bounds_of(indexes: Sequence[Index]) -> Bounds:
    """Return the bounds of the cut-off in these indexes, all of one fingerprint.

    Several datasets are averaged, weighted by their numbers of images.
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
