"""Actions on many images at once: delete, restore, label, tag, copy, move.

Some hundreds are done at once; more become a job with a ledger (`imports.sources.dataset`), which
continues where it was when it is interrupted. Copying and moving is always a job, in the dataset
that the images are copied to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from searchapp.models import Dataset, Image, ImportJob, OnDuplicate, SourceKind
from searchapp.services.datasets.dataset_service import create_dataset
from searchapp.services.errors import Invalid
from searchapp.services.images import image_deletion
from searchapp.services.images.selection import Selection, of_filter, parsed_moment
from searchapp.services.imports import creation, image_fields
from searchapp.services.imports.options import ImportOptions
from searchapp.services.ingest import acceptance

if TYPE_CHECKING:
    from django.contrib.auth.models import User

AT_ONCE = 500


class Action(StrEnum):
    DELETE = "delete"
    RESTORE = "restore"
    LABEL = "label"
    TAGS = "tags"
    COPY = "copy"
    MOVE = "move"


@dataclass(frozen=True)
class Change:
    """What to do with each image."""

    action: Action
    label: str = ""
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    # The moment of a deletion, by which it can be undone.
    moment: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "action": str(self.action), "label": self.label, "add": list(self.add),
            "remove": list(self.remove), "moment": self.moment,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Change:
        return cls(
            Action(data["action"]), data["label"], tuple(data["add"]), tuple(data["remove"]),
            data["moment"],
        )  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """The result of a request: the number of changed images, or the job that does it."""

    number: int
    job: ImportJob | None = None
    moment: str = ""


def change_of(action: str, *, label: Any = "", add: Any = (), remove: Any = ()) -> Change:
    """Validate a requested change.

    Raises `Invalid` with code `invalid_action` or `invalid_words`.
    """
    if action not in list(Action):
        raise Invalid("invalid_action", f"An action is one of: {', '.join(Action)}.")
    try:
        change = Change(
            Action(action),
            image_fields.label(label),
            image_fields.tags(add),
            image_fields.tags(remove),
        )
    except ValueError as error:
        raise Invalid("invalid_words", str(error)) from None
    if change.action == Action.TAGS and not (change.add or change.remove):
        raise Invalid("invalid_words", "Name a tag to add or to remove.")
    return change


def carry_out(dataset: Dataset, selection: Selection, change: Change, *, user: User) -> Outcome:
    """Apply `change` to the selected images of `dataset`, at once or as a job."""
    if change.action in (Action.COPY, Action.MOVE):
        raise ValueError("copying needs a dataset to copy into: see `copy`")
    moment = ""
    if change.action == Action.DELETE:
        moment = timezone.now().isoformat()
        change = Change(change.action, moment=moment)
    keys = list(selection.images(dataset).values_list("pk", flat=True)[: AT_ONCE + 1])
    if len(keys) <= AT_ONCE:
        number = apply(dataset, keys, change)
        if number and change.action == Action.RESTORE:
            acceptance.wake(number)
        return Outcome(number, moment=moment)
    meant = selection.upto_now(dataset)
    job = creation.create(
        dataset,
        user=user,
        kind=SourceKind.DATASET,
        name=_NAMES[change.action],
        location=location(dataset, meant, change),
    )
    return Outcome(meant.images(dataset).count(), job, moment)


_NAMES = {
    Action.DELETE: "Delete pictures",
    Action.RESTORE: "Bring pictures back",
    Action.LABEL: "Set the label",
    Action.TAGS: "Change tags",
}


def location(dataset: Dataset, selection: Selection, change: Change) -> str:
    """Return the location of a job's source: see `imports.sources.dataset`."""
    return json.dumps(
        {"dataset": dataset.pk, "selection": selection.to_dict(), "change": change.to_dict()}
    )


def apply(dataset: Dataset, keys: Sequence[int], change: Change) -> int:
    """Apply `change` to these images in one short transaction; returns how many were changed.

    Idempotent.
    """
    if change.action == Action.DELETE:
        return image_deletion.delete(dataset.pk, keys, parsed_moment(change.moment))
    if change.action == Action.RESTORE:
        return image_deletion.restore(dataset.pk, keys)
    there = Image.objects.filter(dataset=dataset, pk__in=keys).there().order_by()
    if change.action == Action.LABEL:
        return there.update(label=change.label)
    with transaction.atomic():
        rows = list(there.select_for_update().only("tags"))
        changed = [row for row in rows if _retag(row, change)]
        Image.objects.bulk_update(changed, ["tags"])
    return len(rows)


def _retag(image: Image, change: Change) -> bool:
    before = list(image.tags)
    tags = [tag for tag in before if tag not in change.remove]
    image.tags = list(dict.fromkeys([*tags, *change.add]))[: image_fields.MAX_TAGS]
    return bool(image.tags != before)


def copy(
    source: Dataset, selection: Selection, target: Dataset, *, user: User, move: bool = False
) -> Outcome:
    """Copy images into another dataset, as a job there. Existing images of that dataset are
    unchanged.

    With `move`, each image is deleted from `source` when its copy is ready.

    Raises `Invalid` with code `same_dataset`.
    """
    if source.pk == target.pk:
        raise Invalid("same_dataset", "These pictures are in that dataset already.")
    meant = replace(selection.upto_now(source), ready_only=not source.may_edit(user))
    action = Action.MOVE if move else Action.COPY
    job = creation.create(
        target,
        user=user,
        kind=SourceKind.DATASET,
        name=f"{'Moved' if move else 'Copied'} from {source.name}"[:255],
        location=location(source, meant, Change(action)),
        options=ImportOptions(on_duplicate=OnDuplicate.SKIP, move=move),
    )
    return Outcome(meant.images(source).count(), job)


def copy_dataset(source: Dataset, *, name: str, user: User) -> tuple[Dataset, ImportJob]:
    """Copy a whole dataset into a new private one of `user`, with the same pipeline.

    Raises `Invalid` with code `invalid_name`.
    """
    new_dataset = create_dataset(
        name=name, owner=user, description=source.description, index_like=source.active_index
    )
    outcome = copy(source, of_filter("all"), new_dataset, user=user)
    assert outcome.job is not None  # noqa: S101 (copying is always a job)
    return new_dataset, outcome.job


def undo_deletion(dataset: Dataset, moment: datetime, *, user: User) -> Outcome:
    """Restore the images that were deleted at that moment."""
    deleted = of_filter("deleted", moment=moment.isoformat())
    return carry_out(dataset, deleted, Change(Action.RESTORE), user=user)
