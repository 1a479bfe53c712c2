"""Selections of images in a dataset: by keys, or all that match a filter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from searchapp.models import PENDING_STATES, Dataset, Image, ImageState
from searchapp.services.errors import Invalid
from searchapp.services.moments import parse_moment

MAX_KEYS = 10_000
MAX_KEY = 2**63 - 1
# The tabs of the gallery; all but the first are for editors.
FILTERS: dict[str, tuple[ImageState, ...]] = {
    "ready": (ImageState.READY,),
    "waiting": PENDING_STATES,
    "rejected": (ImageState.REJECTED,),
    "failed": (ImageState.FAILED,),
    "deleted": (ImageState.DELETED,),
    "all": (ImageState.READY, *PENDING_STATES, ImageState.REJECTED, ImageState.FAILED),
}


@dataclass(frozen=True)
class Selection:
    """Images of one dataset: those with `keys`, or all that pass the filter.

    `moment` restricts deleted images to those deleted at that moment; `edit` selects those of one
    edit, whatever else is said; `last` is the newest key at
    the time of selection, so that later images are excluded. `ready_only` is for people who may
    only view.
    """

    keys: tuple[int, ...] = ()
    state: str = "ready"
    label: str = ""
    moment: str = ""
    last: int | None = None
    ready_only: bool = False
    edit: str = ""

    def images(self, dataset: Dataset) -> QuerySet[Image]:
        """Return the selected images, unordered."""
        images = Image.objects.filter(dataset=dataset).order_by()
        if self.ready_only:
            images = images.filter(state=ImageState.READY)
        if self.keys:
            return images.filter(pk__in=self.keys)
        if self.edit:
            return images.there().filter(edits__edit=self.edit)
        images = images.filter(self.in_filter())
        return images if self.last is None else images.filter(pk__lte=self.last)

    def in_filter(self) -> Q:
        met = Q(state__in=FILTERS[self.state])
        if self.label:
            met &= Q(label=self.label)
        if self.moment:
            met &= Q(deleted_at=self.moment)
        return met

    def upto_now(self, dataset: Dataset) -> Selection:
        """Return the same selection without images that arrive from now on."""
        newest = dataset.images.order_by("-pk").values_list("pk", flat=True).first()
        return replace(self, last=newest or 0)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Selection:
        return cls(**{**data, "keys": tuple(data.get("keys", ()))})


def of_keys(keys: Iterable[int]) -> Selection:
    """Select images by their keys.

    Raises `Invalid` with code `nothing_selected` or `too_many_selected`.
    """
    chosen = tuple(sorted(set(keys)))
    if not chosen:
        raise Invalid("nothing_selected", "Select one picture or more first.")
    if len(chosen) > MAX_KEYS:
        raise Invalid(
            "too_many_selected",
            f"At most {MAX_KEYS} pictures can be named in one request. Use a filter instead.",
        )
    if not all(0 < key <= MAX_KEY for key in chosen):
        raise Invalid("nothing_selected", "One of these is not the number of a picture.")
    return Selection(chosen)


def of_edit(edit: UUID) -> Selection:
    """Select the images of one edit."""
    return Selection(edit=str(edit))


def of_filter(state: str, label: str = "", moment: str = "") -> Selection:
    """Select all images that pass a filter.

    Raises `Invalid` with code `invalid_filter`.
    """
    if state not in FILTERS:
        raise Invalid("invalid_filter", f"A filter is one of: {', '.join(FILTERS)}.")
    if moment:
        parsed = parse_moment(moment)
        if parsed is None:
            raise Invalid("invalid_filter", "A moment is a time as it was given, with its zone.")
        moment = parsed.isoformat()
    return Selection(state=state, label=label, moment=moment)
