"""Edits of titles, labels, tags and metadata, which can be undone for a day."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.db import transaction

from searchapp.models import Dataset, Image, ImageEdit
from searchapp.services.errors import Gone
from searchapp.services.images.image_deletion import still_kept

COLUMNS = ("title", "label", "tags", "metadata")
PURGE_CHUNK = 1000


def new_edit() -> str:
    """Return the id of an edit that is about to be made."""
    return str(uuid.uuid4())


def edit_images(
    dataset: Dataset, keys: Iterable[int], edit: str, changes: Callable[[Image], Mapping[str, Any]]
) -> int:
    """Change images that are there in one short transaction; returns how many that are.

    `changes` returns the new values of some of `COLUMNS`. Repeating an edit changes nothing more.
    """
    with transaction.atomic():
        there = Image.objects.filter(dataset=dataset, pk__in=list(keys)).there().order_by()
        images = list(there.select_for_update().only(*COLUMNS))
        records = []
        for image in images:
            wanted = changes(image)
            before = {name: getattr(image, name) for name in wanted}
            after = {name: value for name, value in wanted.items() if value != before[name]}
            if after:
                kept = {name: before[name] for name in after}
                records.append(ImageEdit(edit=edit, image=image, before=kept, after=after))
        _write(records, "after")
        # A repeated edit of a killed worker finds its first values recorded already.
        ImageEdit.objects.bulk_create(records, batch_size=500, ignore_conflicts=True)
    return len(images)


def edit_image(image: Image, changes: Mapping[str, Any]) -> str | None:
    """Change one image; returns the id of the edit, None where it changed nothing."""
    edit = new_edit()
    edit_images(image.dataset, [image.pk], edit, lambda _: changes)
    return edit if ImageEdit.objects.filter(edit=edit).exists() else None


def is_kept(dataset: Dataset, edit: uuid.UUID) -> bool:
    """Return whether an edit of this dataset can be undone."""
    records = ImageEdit.objects.filter(edit=edit, image__dataset=dataset)
    return records.filter(created__gte=still_kept()).exists()


def only_image(dataset: Dataset, edit: uuid.UUID) -> Image | None:
    """Return the image of an edit of one; None for one of several, or that is not kept."""
    images = list(Image.objects.filter(dataset=dataset, edits__edit=edit).there()[:2])
    return images[0] if len(images) == 1 else None


def check_kept(dataset: Dataset, edit: uuid.UUID) -> None:
    """Raise `Gone`, code `nothing_to_undo`, unless an edit of this dataset can be undone."""
    if not is_kept(dataset, edit):
        raise Gone(
            "nothing_to_undo",
            "There is no such edit, or it was undone, or it is more than a day old.",
        )


def undo(dataset: Dataset, keys: Sequence[int], edit: str) -> int:
    """Give images of an edit their former values back; returns how many.

    Values that were changed again after the edit stay as they are.
    """
    with transaction.atomic():
        records = list(
            ImageEdit.objects.filter(edit=edit, image__dataset=dataset, image__in=keys)
            .select_related("image")
            .select_for_update()
        )
        undone = [record for record in records if _revert(record)]
        _write(undone, "before")
        ImageEdit.objects.filter(pk__in=[record.pk for record in records]).delete()
    return len(undone)


def _revert(record: ImageEdit) -> bool:
    """Limit a record to what nobody has changed since; returns whether something is left."""
    record.before = {
        name: value
        for name, value in record.before.items()
        if getattr(record.image, name) == record.after.get(name)
    }
    return bool(record.before)


def _write(records: Sequence[ImageEdit], side: str) -> None:
    """Write the values of `side` into the images, those of the same columns together."""
    by_columns: dict[tuple[str, ...], list[ImageEdit]] = {}
    for record in records:
        by_columns.setdefault(tuple(sorted(getattr(record, side))), []).append(record)
    for columns, alike in by_columns.items():
        values = getattr(alike[0], side)
        if all(getattr(record, side) == values for record in alike):
            keys = [record.image_id for record in alike]
            Image.objects.filter(pk__in=keys).order_by().update(**values)
            continue
        for record in alike:
            for name in columns:
                setattr(record.image, name, getattr(record, side)[name])
        Image.objects.bulk_update([record.image for record in alike], columns, batch_size=200)


def purge(limit: int = PURGE_CHUNK) -> int:
    """Forget edits that can no longer be undone; returns how many records that were."""
    old = ImageEdit.objects.filter(created__lt=still_kept()).order_by("created")
    keys = list(old.values_list("pk", flat=True)[:limit])
    ImageEdit.objects.filter(pk__in=keys).delete()
    return len(keys)
