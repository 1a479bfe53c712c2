"""Clean-up of unused files, vectors, query pictures and upload drafts."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from searchapp.infra import storage
from searchapp.infra.content_locks import lock_contents
from searchapp.infra.vectors.errors import VectorsUnavailable
from searchapp.infra.vectors.store import get_store
from searchapp.models import Image, ImageState, Query, VectorCleanup

log = logging.getLogger(__name__)
# Entries of the list that one call processes.
FORGET_AT_ONCE = 1000
# Content keys locked at once during removal: on SQLite, this blocks all other writers.
_FILES_AT_ONCE = 20
_DRAFT_LIFE = 3600  # seconds without a byte written


class Files(NamedTuple):
    """The storage keys of an image: of its original, and of its derived files."""

    sha256: str
    thumbnail_key: str

    @classmethod
    def of(cls, image: Image) -> Files:
        return cls(image.sha256, image.thumbnail_key)


def after_deletion(gone: Iterable[Files]) -> None:
    """Remove files that only deleted rows used, and schedule the removal of their vectors."""
    some = list(gone)
    for start in range(0, len(some), _FILES_AT_ONCE):
        remove_unused_files(some[start : start + _FILES_AT_ONCE])
    forget_vectors()


def remove_unused_files(gone: Sequence[Files]) -> None:
    """Remove those of these files that no image uses.

    Check and removal happen under the same lock as storing a file and writing its row.
    """
    with transaction.atomic():
        hashes = {files.sha256 for files in gone}
        lock_contents(hashes)
        images = Image.objects.filter(sha256__in=hashes).only("sha256", "box", "reference")
        users = list(images.order_by())
        for sha256 in hashes - {image.sha256 for image in users if not image.reference}:
            storage.delete_original(sha256)
        used = {image.thumbnail_key for image in users}
        for key in {files.thumbnail_key for files in gone} - used:
            storage.delete_thumbnails(key)
            storage.delete_features(key)


def forget_vectors(limit: int = FORGET_AT_ONCE) -> int:
    """Remove vectors that are scheduled for it; returns how many entries were processed.

    While Milvus is down, the entries wait for the next sweep.
    """
    rows = list(VectorCleanup.objects.all()[:limit])
    by_collection: dict[str, list[VectorCleanup]] = {}
    for row in rows:
        by_collection.setdefault(row.collection, []).append(row)
    done: list[int] = []
    forgotten: list[int] = []
    try:
        for collection, entries in by_collection.items():
            if any(entry.image_id is None for entry in entries):
                get_store().drop(collection)
            else:
                keys = [entry.image_id for entry in entries if entry.image_id is not None]
                get_store().delete(collection, keys)
                forgotten += keys
            done += [entry.pk for entry in entries]
    except VectorsUnavailable as error:
        log.warning("vectors to forget must wait: %s", error)
    _embed_what_came_back(forgotten)
    VectorCleanup.objects.filter(pk__in=done).delete()
    return len(done)


def _embed_what_came_back(keys: Sequence[int]) -> None:
    """Embed images again that were restored while their old vectors were being removed, because the
    new ones may have been removed too."""
    Image.objects.filter(pk__in=keys, state__in=[ImageState.PROCESSING, ImageState.READY]).update(
        state=ImageState.RECEIVED, claim="", lease_until=None, attempts=0
    )


def expire_queries(limit: int = 500) -> int:
    """Delete expired query pictures; returns how many rows were deleted."""
    rows = list(Query.objects.filter(expires__lte=timezone.now())[:limit])
    for row in rows:
        discard_query(row.token, row.sha256)
    return len(rows)


def discard_query(token: str, sha256: str) -> None:
    """Delete a query, and its picture `sha256` unless another query uses it."""
    with transaction.atomic():
        lock_contents([sha256])
        Query.objects.filter(token=token).delete()
        if not Query.objects.filter(sha256=sha256).exists():
            storage.delete_query_files(sha256)


def query_life() -> timedelta:
    return timedelta(hours=settings.QUERY_KEEP_HOURS)


def remove_old_drafts() -> None:
    """Remove upload drafts of killed processes."""
    if not settings.UPLOAD_DIR.is_dir():
        return
    for draft in settings.UPLOAD_DIR.glob("upload-*"):
        if time.time() - draft.stat().st_mtime > _DRAFT_LIFE:
            draft.unlink(missing_ok=True)
