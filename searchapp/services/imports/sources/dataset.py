"""The images of a dataset as a source: to copy, move or change in place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from searchapp.infra.originals import open_original
from searchapp.models import MOVED, Dataset, Image, ImportItem, ImportSource
from searchapp.services.errors import Invalid, ServiceError
from searchapp.services.images import bulk_actions
from searchapp.services.images.bulk_actions import Action, Change
from searchapp.services.images.selection import FILTERS, Selection
from searchapp.services.imports.options import ImportOptions
from searchapp.services.imports.sources.base import InPlaceSource, Listed, SourceError
from searchapp.services.ingest import acceptance

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_ROWS = 500
_COPIED = ("title", "label", "tags", "metadata", "box")


@dataclass(frozen=True)
class Plan:
    """Which images to process, and how."""

    dataset: int
    selection: Selection
    change: Change

    @classmethod
    def parse(cls, location: str) -> Plan:
        """Raises `ValueError`, `KeyError` or `TypeError` when `location` is no plan."""
        data: dict[str, Any] = json.loads(location)
        plan = cls(
            int(data["dataset"]),
            Selection.from_dict(data["selection"]),
            Change.from_dict(data["change"]),
        )
        if plan.selection.state not in FILTERS:
            raise ValueError("no such filter")
        return plan


class DatasetSource(InPlaceSource):
    """Lists the images of a bulk change or a copy by their keys."""

    def __init__(self, source: ImportSource, options: ImportOptions) -> None:
        super().__init__(source, options)
        self.plan = Plan.parse(source.location)
        self.in_place = self.plan.change.action not in (Action.COPY, Action.MOVE)
        self.follows_images = self.plan.change.action == Action.RESTORE

    @classmethod
    def check(cls, location: str, user: User | None) -> str:
        """Check the user's permissions: copying needs view access, all else edit access."""
        try:
            plan = Plan.parse(location)
        except (ValueError, KeyError, TypeError):
            raise Invalid(
                "invalid_location", "Pictures of a dataset are chosen on its page, or by `bulk/`."
            ) from None
        if user is not None:
            there = Dataset.objects.filter(pk=plan.dataset)
            looks = plan.change.action == Action.COPY and plan.selection.ready_only
            allowed = there.visible_to(user) if looks else there.editable_by(user)
            if not allowed.exists():
                raise Invalid("unknown_dataset", "There is no such dataset, or it is not yours.")
        return location

    def list(self, cursor: str) -> Iterator[Listed]:
        after = int(cursor.removesuffix(MOVED) or 0)
        dataset = Dataset.objects.filter(pk=self.plan.dataset, deleted=None).first()
        if dataset is None:
            raise SourceError("unknown_dataset", "The dataset that the pictures are in is gone.")
        chosen = self.plan.selection.images(dataset).order_by("pk")
        while rows := list(chosen.filter(pk__gt=after)[:_ROWS]):
            for image in rows:
                yield Listed(
                    name=image.name,
                    locator={
                        "image": image.pk,
                        "sha256": image.sha256,
                        "reference": image.reference,
                    },
                    given={name: value for name in _COPIED if (value := getattr(image, name))},
                    cursor=str(image.pk),
                )
            after = rows[-1].pk

    def open(self, item: ImportItem) -> AbstractContextManager[BinaryIO]:
        # Use the locator from the listing: threads must not query the database.
        named = item.locator or {}
        image = Image(sha256=named.get("sha256", ""), reference=named.get("reference", ""))
        try:
            return open_original(image)
        except (FileNotFoundError, ValueError):
            raise SourceError(
                "original_missing", "The stored original is missing.", retryable=True
            ) from None
        except ServiceError as error:  # the original is stored elsewhere
            raise SourceError(error.code, error.detail, retryable=True) from None

    def perform(self, items: Sequence[ImportItem]) -> dict[int, int]:
        dataset = Dataset.objects.filter(pk=self.plan.dataset, deleted=None).first()
        if dataset is None:
            return {}
        keys = [_image_of(item) for item in items]
        number = bulk_actions.apply(dataset, keys, self.plan.change)
        if self.plan.change.action == Action.RESTORE:
            acceptance.wake(number)
        there = set(dataset.images.there().filter(pk__in=keys).values_list("pk", flat=True))
        return {item.pk: key for item, key in zip(items, keys, strict=True) if key in there}


def _image_of(item: ImportItem) -> int:
    return int((item.locator or {}).get("image", 0))
