"""Delete images, restore them within a day, and purge them afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Case, QuerySet, Value, When
from django.utils import timezone

from searchapp.models import (
    LIVE_INDEXES,
    PENDING_ITEMS,
    Dataset,
    Image,
    ImageState,
    ImportItem,
    Index,
    ItemState,
    VectorCleanup,
)
from searchapp.services.errors import Gone
from searchapp.services.ingest import claims
from searchapp.services.operations import cleanup

UNDO = timedelta(days=1)
# Images are purged this much later, because someone may be restoring them at the last moment.
GRACE = timedelta(minutes=10)
PURGE_CHUNK = 500
# Refused before anything was stored: there are no bytes to process again.
_WITHOUT_BYTES = ("empty_file", "file_too_large")


def delete_image(image: Image, moment: datetime | None = None) -> None:
    """Delete one image: see `delete`."""
    delete(image.dataset_id, [image.pk], moment)


def delete(dataset: int, keys: Sequence[int], moment: datetime | None = None) -> int:
    """Delete images of one dataset, given by their keys; returns how many were still there.

    They disappear from pages and searches at once; for a day `restore` brings them back, all images
    of one `moment` together.
    """
    with transaction.atomic():
        there = Image.objects.filter(dataset=dataset, pk__in=keys).there()
        chosen = list(there.select_for_update().values_list("pk", flat=True))
        if not chosen:
            return 0
        _forget(dataset, chosen)
        ImportItem.objects.filter(image__in=chosen, state__in=PENDING_ITEMS).update(
            state=ItemState.REJECTED,
            error_code="deleted",
            error_detail="The image was deleted before it was ready.",
        )
        number = Image.objects.filter(pk__in=chosen).update(
            state=ImageState.DELETED,
            deleted_at=moment or timezone.now(),
            claim="",
            lease_until=None,
        )
        transaction.on_commit(cleanup.forget_vectors)
    return number


def _forget(dataset: int, keys: Sequence[int]) -> None:
    indexes = Index.objects.filter(dataset=dataset, state__in=LIVE_INDEXES)
    VectorCleanup.objects.bulk_create(
        VectorCleanup(collection=index.collection, image_id=key)
        for index in indexes
        for key in keys
    )


def restore(dataset: int, keys: Sequence[int]) -> int:
    """Restore deleted images of one dataset; returns how many. A worker embeds them again."""
    with transaction.atomic():
        gone = Image.objects.filter(
            dataset=dataset, pk__in=keys, state=ImageState.DELETED, deleted_at__gte=still_kept()
        )
        chosen = list(gone.select_for_update().values_list("pk", flat=True))
        indexes = Index.objects.filter(dataset=dataset, state__in=LIVE_INDEXES)
        # Cancel removals that have not begun. (`cleanup.forget_vectors` handles those in progress.)
        VectorCleanup.objects.filter(
            collection__in=[index.collection for index in indexes], image_id__in=chosen
        ).delete()
        return Image.objects.filter(pk__in=chosen).update(
            state=Case(
                When(error_code__in=_WITHOUT_BYTES, then=Value(ImageState.REJECTED)),
                default=Value(ImageState.RECEIVED),
            ),
            deleted_at=None,
            attempts=0,
            turn=claims.turn_now(),
        )


def restore_image(image: Image) -> None:
    """Restore one image.

    Raises `Gone` with code `gone_for_good` when it can no longer be restored.
    """
    if not restore(image.dataset_id, [image.pk]):
        raise Gone(
            "gone_for_good", "This picture was deleted more than a day ago and cannot come back."
        )


def still_kept() -> datetime:
    """Return the moment since when deleted images can be restored."""
    return timezone.now() - UNDO


def purge(limit: int = PURGE_CHUNK) -> int:
    """Remove images permanently that can no longer be restored; returns how many."""
    over = Image.objects.filter(
        state=ImageState.DELETED, deleted_at__lt=still_kept() - GRACE
    ).order_by("deleted_at")
    return _remove(over, limit, forget=True)


def purge_of(dataset: Dataset, limit: int = PURGE_CHUNK) -> int:
    """Remove images of a dataset whose collections are about to be dropped, whatever the images'
    state; returns how many."""
    return _remove(Image.objects.filter(dataset=dataset).order_by(), limit, forget=False)


def _remove(images: QuerySet[Image], limit: int, *, forget: bool) -> int:
    """Delete rows in one short transaction, then the files that no other image uses."""
    with transaction.atomic():
        # Checked under the lock: an upload of the same bytes may be restoring one.
        chosen = list(
            images.select_for_update(of=("self",)).only("sha256", "box", "dataset")[:limit]
        )
        by_dataset: dict[int, list[int]] = {}
        for image in chosen:
            by_dataset.setdefault(image.dataset_id, []).append(image.pk)
        for dataset, keys in by_dataset.items() if forget else ():
            # Again: an index that was being built meanwhile may have added them.
            _forget(dataset, keys)
        Image.objects.filter(pk__in=[image.pk for image in chosen]).delete()
        gone = {cleanup.Files.of(image) for image in chosen}
        transaction.on_commit(lambda: cleanup.after_deletion(gone))
    return len(chosen)
