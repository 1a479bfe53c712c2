"""Delete a dataset, restore it within a day, and purge it afterwards."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from searchapp.models import (
    ENDED_JOBS,
    Dataset,
    FormerSlug,
    Image,
    ImportItem,
    ImportJob,
    VectorCleanup,
)
from searchapp.services.errors import Conflict, Gone, Invalid
from searchapp.services.images import image_deletion, image_edits
from searchapp.services.images.image_deletion import GRACE, UNDO, still_kept
from searchapp.services.imports import control
from searchapp.services.operations import cleanup

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

_ITEMS_AT_ONCE = 2000


def pictures_in(dataset: Dataset) -> int:
    """Return the number of images of a dataset, which must be typed to confirm its deletion."""
    return Image.objects.filter(dataset=dataset).there().count()


def check_number(dataset: Dataset, typed_number: int | None) -> None:
    """Raise `Invalid` with code `wrong_number` unless `typed_number` is the number of images."""
    number = pictures_in(dataset)
    if typed_number != number:
        raise Invalid(
            "wrong_number", f"Type {number}, the number of pictures that go with this dataset."
        )


def delete_dataset(dataset: Dataset) -> None:
    """Delete a dataset. It disappears at once; for a day `restore_dataset` brings it back.

    Its slug is free at once, and its jobs are cancelled.

    Raises `Gone` with code `dataset_deleted` when it was deleted meanwhile.
    """
    with transaction.atomic():
        there = Dataset.objects.filter(pk=dataset.pk, deleted=None)
        slug = there.select_for_update().values_list("slug", flat=True).first()
        if slug is None:
            raise Gone("dataset_deleted", "This dataset was deleted already.")
        there.update(
            deleted=timezone.now(),
            slug=f"deleted-{dataset.pk}-{secrets.token_hex(4)}",
            slug_before=slug,
        )
    for job in ImportJob.objects.filter(dataset=dataset).exclude(state__in=ENDED_JOBS):
        with suppress(Conflict):  # it has just ended by itself
            control.cancel(job)


def deleted_for(user: User | AnonymousUser) -> QuerySet[Dataset]:
    """Return the deleted datasets that `user` can restore, last deleted first."""
    datasets = Dataset.objects.managed_by(user).filter(deleted__gte=still_kept())
    return datasets.order_by("-deleted", "-pk")


def restore_dataset(dataset: Dataset) -> Dataset:
    """Restore a deleted dataset, under its slug or, if that is taken, the slug with a number.

    Raises `Gone` with code `gone_for_good` when it can no longer be restored, and `Conflict` with
    code `not_deleted`.
    """
    if dataset.deleted is None:
        raise Conflict("not_deleted", "This dataset is not deleted.")
    stem = dataset.slug_before[:70]
    candidates = [dataset.slug_before, *(f"{stem}-{number}" for number in range(2, 1000))]
    used_slugs = set(
        Dataset.objects.filter(slug__startswith=stem).values_list("slug", flat=True)
    ) | set(
        FormerSlug.objects.filter(slug__startswith=stem)
        .exclude(dataset=dataset)
        .values_list("slug", flat=True)
    )
    for slug in candidates:
        if slug in used_slugs:
            continue
        try:
            with transaction.atomic():
                # Compare-and-swap: only one of two callers restores it.
                restorable = Dataset.objects.filter(pk=dataset.pk, deleted__gte=still_kept())
                if not restorable.update(deleted=None, slug=slug, slug_before=""):
                    break
                FormerSlug.objects.filter(slug=slug).delete()
        except IntegrityError:
            continue
        dataset.deleted, dataset.slug, dataset.slug_before = None, slug, ""
        return dataset
    raise Gone(
        "gone_for_good", "This dataset was deleted more than a day ago and cannot come back."
    )


def purge(seconds: float = 20.0) -> bool:
    """Remove datasets, images and records of edits permanently that can no longer be restored or
    undone, for about `seconds`.

    Works in small transactions, whatever the number of images; when it is killed, the next call
    continues. Returns whether there is more to do.
    """
    until = time.monotonic() + seconds
    while image_deletion.purge() or image_edits.purge():
        if time.monotonic() > until:
            return True
    for dataset in Dataset.objects.filter(deleted__lt=timezone.now() - UNDO - GRACE):
        while image_deletion.purge_of(dataset) or _purge_items(dataset):
            if time.monotonic() > until:
                return True
        _remove_rest(dataset)
    return False


def _purge_items(dataset: Dataset) -> int:
    """Remove some of the ledgers' rows; returns how many."""
    rows = ImportItem.objects.filter(job__dataset=dataset).order_by()
    chosen = list(rows.values_list("pk", flat=True)[:_ITEMS_AT_ONCE])
    ImportItem.objects.filter(pk__in=chosen).delete()
    return len(chosen)


def _remove_rest(dataset: Dataset) -> None:
    with transaction.atomic():
        VectorCleanup.objects.bulk_create(
            VectorCleanup(collection=index.collection) for index in dataset.indexes.all()
        )
        # Images that were still arriving when the last chunk was removed are deleted with the
        # dataset.
        gone = {
            cleanup.Files.of(image)
            for image in dataset.images.order_by().only("sha256", "box").iterator()
        }
        dataset.delete()
        transaction.on_commit(lambda: cleanup.after_deletion(gone))
