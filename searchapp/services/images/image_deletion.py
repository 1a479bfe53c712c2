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
# Nothing is purged in the moment in which somebody may still be bringing it back.
GRACE = timedelta(minutes=10)
PURGE_CHUNK = 500
# Refused at the door: there are no bytes that a worker could look at again.
_WITHOUT_BYTES = ("empty_file", "file_too_large")


def delete_image(image: Image, moment: datetime | None = None) -> None:
    """Delete one image: see `delete`."""
    delete(image.dataset_id, [image.pk], moment)


def delete(dataset: int, keys: Sequence[int], moment: datetime | None = None) -> int:
    """Delete images of one dataset, given by their keys; returns how many were still there.

    Nobody sees them from now on and searches do not find them; for a day `restore` brings them
    back, all of one `moment` together.
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
    """Bring deleted images of one dataset back; returns how many. A worker embeds them again."""
    with transaction.atomic():
        gone = Image.objects.filter(
            dataset=dataset, pk__in=keys, state=ImageState.DELETED, deleted_at__gte=still_kept()
        )
        chosen = list(gone.select_for_update().values_list("pk", flat=True))
        indexes = Index.objects.filter(dataset=dataset, state__in=LIVE_INDEXES)
        # What has not been forgotten yet need not be. (What is being forgotten right now,
        # `cleanup.forget_vectors` notices itself.)
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
    """Bring one image back.

    Raises:
        Gone: code `gone_for_good` when its day is over.
    """
    if not restore(image.dataset_id, [image.pk]):
        raise Gone(
            "gone_for_good", "This picture was deleted more than a day ago and cannot come back."
        )


def still_kept() -> datetime:
    """What was deleted since then can be brought back."""
    return timezone.now() - UNDO


def purge(limit: int = PURGE_CHUNK) -> int:
    """Remove, for good, images whose day is over; returns how many."""
    over = Image.objects.filter(
        state=ImageState.DELETED, deleted_at__lt=still_kept() - GRACE
    ).order_by("deleted_at")
    return _remove(over, limit, forget=True)


def purge_of(dataset: Dataset, limit: int = PURGE_CHUNK) -> int:
    """Remove images of a dataset whose collections are about to go, whatever the images' state;
    returns how many."""
    return _remove(Image.objects.filter(dataset=dataset).order_by(), limit, forget=False)


def _remove(images: QuerySet[Image], limit: int, *, forget: bool) -> int:
    """Delete rows in one short transaction, then the files that no other image uses."""
    with transaction.atomic():
        # Looked at under the lock: an upload of the same bytes may be bringing one back.
        chosen = list(
            images.select_for_update(of=("self",)).only("sha256", "box", "dataset")[:limit]
        )
        by_dataset: dict[int, list[int]] = {}
        for image in chosen:
            by_dataset.setdefault(image.dataset_id, []).append(image.pk)
        for dataset, keys in by_dataset.items() if forget else ():
            # Again: an index that was being built meanwhile may have taken them in.
            _forget(dataset, keys)
        Image.objects.filter(pk__in=[image.pk for image in chosen]).delete()
        gone = {cleanup.Files.of(image) for image in chosen}
        transaction.on_commit(lambda: cleanup.after_deletion(gone))
    return len(chosen)
