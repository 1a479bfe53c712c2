"""Actions on many images at once: delete, restore, label, tag, undo, copy, move.

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
from uuid import UUID

from django.utils import timezone

from searchapp.models import Dataset, Image, ImportJob, OnDuplicate, SourceKind
from searchapp.services.datasets.dataset_service import create_dataset
from searchapp.services.errors import Invalid
from searchapp.services.images import image_deletion, image_edits
from searchapp.services.images.selection import Selection, of_edit, of_filter
from searchapp.services.imports import creation, image_fields
from searchapp.services.imports.options import ImportOptions
from searchapp.services.ingest import acceptance
from searchapp.services.moments import parse_moment

if TYPE_CHECKING:
    from django.contrib.auth.models import User

AT_ONCE = 500


class Action(StrEnum):
    DELETE = "delete"
    RESTORE = "restore"
    LABEL = "label"
    TAGS = "tags"
    UNDO = "undo"
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
    # The id of the edit that this makes, or undoes.
    edit: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "action": str(self.action), "label": self.label, "add": list(self.add),
            "remove": list(self.remove), "moment": self.moment, "edit": self.edit,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Change:
        return cls(
            Action(data["action"]), data["label"], tuple(data["add"]), tuple(data["remove"]),
            data["moment"], data.get("edit", ""),
        )  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """The result of a request: the number of changed images, or the job that does it."""

    number: int
    job: ImportJob | None = None
    moment: str = ""
    edit: str = ""


def change_of(action: str, *, label: Any = "", add: Any = (), remove: Any = ()) -> Change:
    """Validate a requested change.

    Raises `Invalid` with code `invalid_action` or `invalid_words`.
    """
    if action not in list(Action) or action == Action.UNDO:
        others = (one for one in Action if one != Action.UNDO)
        raise Invalid("invalid_action", f"An action is one of: {', '.join(others)}.")
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
    moment = edit = ""
    if change.action == Action.DELETE:
        moment = timezone.now().isoformat()
        change = Change(change.action, moment=moment)
    elif change.action in (Action.LABEL, Action.TAGS):
        edit = image_edits.new_edit()
        change = replace(change, edit=edit)
    keys = list(selection.images(dataset).values_list("pk", flat=True)[: AT_ONCE + 1])
    if len(keys) <= AT_ONCE:
        number = apply(dataset, keys, change)
        if number and change.action == Action.RESTORE:
            acceptance.wake(number)
        return Outcome(number, moment=moment, edit=edit if number else "")
    meant = selection.upto_now(dataset)
    job = creation.create(
        dataset,
        user=user,
        kind=SourceKind.DATASET,
        name=_NAMES[change.action],
        location=location(dataset, meant, change),
    )
    return Outcome(meant.images(dataset).count(), job, moment, edit)


_NAMES = {
    Action.DELETE: "Delete pictures",
    Action.RESTORE: "Bring pictures back",
    Action.LABEL: "Set the label",
    Action.TAGS: "Change tags",
    Action.UNDO: "Undo an edit",
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
        return image_deletion.delete(dataset.pk, keys, parse_moment(change.moment))
    if change.action == Action.RESTORE:
        return image_deletion.restore(dataset.pk, keys)
    if change.action == Action.UNDO:
        return image_edits.undo(dataset, keys, change.edit)
    # A job that an older version began has no id for its edit.
    edit = change.edit or image_edits.new_edit()
    if change.action == Action.LABEL:
        return image_edits.edit_images(dataset, keys, edit, lambda _: {"label": change.label})
    return image_edits.edit_images(dataset, keys, edit, lambda image: _retagged(image, change))


def _retagged(image: Image, change: Change) -> dict[str, Any]:
    kept = [tag for tag in image.tags if tag not in change.remove]
    return {"tags": list(dict.fromkeys([*kept, *change.add]))[: image_fields.MAX_TAGS]}


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


def undo_edit(dataset: Dataset, edit: UUID, *, user: User) -> Outcome:
    """Give the images of an edit their former title, label, tags and metadata back.

    Raises `Gone` with code `nothing_to_undo`.
    """
    image_edits.check_kept(dataset, edit)
    return carry_out(dataset, of_edit(edit), Change(Action.UNDO, edit=str(edit)), user=user)


def undo_deletion(dataset: Dataset, moment: datetime, *, user: User) -> Outcome:
    """Restore the images that were deleted at that moment."""
    deleted = of_filter("deleted", moment=moment.isoformat())
    return carry_out(dataset, deleted, Change(Action.RESTORE), user=user)
