"""Acceptance of files into a dataset: store originals, create rows, then wake workers."""

from __future__ import annotations

import errno
import logging
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import transaction

from searchapp.infra import queue, storage
from searchapp.infra.bulk_update import update_rows
from searchapp.infra.content_keys import content_key
from searchapp.infra.content_locks import lock_contents
from searchapp.infra.upload_handler import HashedUpload
from searchapp.models import (
    Dataset,
    Image,
    ImageState,
    ImportItem,
    ImportJob,
    OnDuplicate,
    Source,
    VectorCleanup,
)
from searchapp.services.errors import ServiceError
from searchapp.services.imports import job_progress
from searchapp.services.ingest import claims

if TYPE_CHECKING:
    from django.contrib.auth.models import User

log = logging.getLogger(__name__)
# The most wake-up messages in Redis at any time; each one that finds a full batch sends another.
_MAX_WAKEUPS = 8
# When the same bytes arrive again, an image in one of these states is processed again, under the
# same id.
_TRIED_AGAIN = (ImageState.REJECTED, ImageState.FAILED, ImageState.DELETED)
NAME_LENGTH = 255  # characters of a file's name that are kept, from its end
_DESCRIBED = ["title", "label", "tags", "metadata"]
_ARRIVED = [
    "sha256", "bytes", "name", "box", "reference", "turn", "state", "error_code", "error_detail",
    "claim", "lease_until", "attempts", "deleted_at",
]  # fmt: skip


@dataclass
class Arrival:
    """A file to accept, with its metadata."""

    upload: HashedUpload
    title: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    tags: Sequence[str] = ()
    # Left, top, width, height in pixels, when the image is a part of its file.
    box: Sequence[int] | None = None
    # Where the file stays, when it is not stored here. See `searchapp.infra.originals`.
    reference: str = ""
    # SHA-256 of the original bytes, when `upload` was derived from them.
    sent: str = ""
    on_duplicate: OnDuplicate = OnDuplicate.SKIP
    name: str = ""  # the name in its source; empty for that of the upload

    @property
    def content_key(self) -> str:
        return content_key(self.sent or self.upload.sha256, self.box)


def accept(
    dataset: Dataset,
    uploads: Sequence[HashedUpload],
    *,
    user: User | AnonymousUser | None,
    title: str = "",
    metadata: dict[str, Any] | None = None,
) -> ImportJob:
    """Accept uploaded files into `dataset`; see `accept_arrivals`."""
    arrivals = [Arrival(upload, title, dict(metadata or {})) for upload in uploads]
    return accept_arrivals(dataset, arrivals, user=user)


def accept_arrivals(
    dataset: Dataset,
    arrivals: Sequence[Arrival],
    *,
    user: User | AnonymousUser | None,
    source: Source = Source.UPLOAD,
    call_workers: bool = True,
) -> ImportJob:
    """Accept files into `dataset`. On return they are on disk and in the database.

    Bytes that the dataset already holds map to the existing image. Bytes that it has rejected or
    failed on are processed again, under the same id. A refused upload (empty, too large) becomes a
    rejected image, so that it has an id and a reason like any other. With `call_workers` false, for
    when no worker can run yet, the periodic sweep starts them.

    Raises `ServiceError` (`storage_full`) when the disk is full; then no row exists either.
    """
    account = user if user is not None and user.is_authenticated else None
    try:
        with transaction.atomic():
            lock_contents(arrival.upload.sha256 for arrival in arrivals)
            job = ImportJob.objects.create(
                dataset=dataset, user=account, total=len(arrivals), turn=claims.turn_now()
            )
            results = take(dataset, arrivals, account, source, job.turn)
            ImportItem.objects.bulk_create(
                ImportItem(
                    job=job,
                    position=position,
                    name=arrival.upload.name or "",
                    image=image,
                    duplicate=duplicate,
                    given={"title": arrival.title} if arrival.title else {},
                    state=image.state,
                    error_code=image.error_code,
                    error_detail=image.error_detail,
                )
                for position, (arrival, (image, duplicate)) in enumerate(
                    zip(arrivals, results, strict=True)
                )
            )
            transaction.on_commit(lambda: job_progress.settle([job.pk]))
            if call_workers:
                transaction.on_commit(lambda: wake(len(arrivals)))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ServiceError(
                "storage_full", "The disk of the server is full; nothing was kept.", status=507
            ) from error
        raise
    return job


def take(
    dataset: Dataset, arrivals: Sequence[Arrival], user: User | None, source: Source, turn: int
) -> list[tuple[Image, bool]]:
    """Return for each arrival its image, and whether that image existed before.

    The first new image gets the turn `turn`, the others the turns after it. Call this inside a
    transaction that holds the locks on the contents. The number of statements does not depend on
    the number of arrivals.
    """
    known = {
        image.content_key: image
        for image in Image.objects.filter(
            dataset=dataset, content_key__in={arrival.content_key for arrival in arrivals}
        )
    }
    fresh: list[Image] = []
    again: dict[int, Image] = {}
    linked: dict[int, Image] = {}
    results: list[tuple[Image, bool]] = []
    for place, arrival in enumerate(arrivals):
        upload, key = arrival.upload, arrival.content_key
        image = known.get(key)
        if image is not None and image.state not in _TRIED_AGAIN:
            if arrival.on_duplicate != OnDuplicate.COPY:
                if arrival.on_duplicate == OnDuplicate.LINK:
                    _describe(image, arrival)
                    if image.pk:
                        linked[image.pk] = image
                results.append((image, True))
                continue
            # A copy's number only has to be unique: a random one needs no query.
            image = None
            copy = 1 + secrets.randbelow(2**40)
            key = content_key(arrival.sent or upload.sha256, arrival.box, copy)
        if upload.refusal is None and not arrival.reference:
            storage.put_original(upload)
        if image is None:
            image = Image(dataset=dataset, content_key=key, source=source, added_by=user)
            known[key] = image
            fresh.append(image)
        else:
            again[image.pk] = image
        image.sha256, image.bytes = upload.sha256, upload.size or 0
        image.name = (arrival.name or upload.name or "")[-NAME_LENGTH:]
        image.box = None if arrival.box is None else list(arrival.box)
        image.reference = arrival.reference
        image.turn = turn + place
        _describe(image, arrival)
        _begin(image, upload.refusal)
        results.append((image, False))
    update_rows(again.values(), [*_ARRIVED, *_DESCRIBED])
    # Of images that were deleted: the removal of their old vectors must not take the new ones.
    VectorCleanup.objects.filter(
        image_id__in=again, collection__in=[index.collection for index in dataset.indexes.all()]
    ).delete()
    # Unlike `update_rows`, this marks the scalars of ready images in Milvus as stale.
    Image.objects.bulk_update(
        [image for image in linked.values() if image.pk not in again], _DESCRIBED
    )
    Image.objects.bulk_create(fresh)
    return results


def _describe(image: Image, arrival: Arrival) -> None:
    """Merge the arrival's metadata into the image; empty values change nothing."""
    image.title = arrival.title or image.title
    image.label = arrival.label or image.label
    image.tags = list(dict.fromkeys([*image.tags, *arrival.tags]))
    image.metadata = {**image.metadata, **arrival.metadata}


def _begin(image: Image, refusal: tuple[str, str] | None) -> None:
    image.state = ImageState.REJECTED if refusal else ImageState.RECEIVED
    image.error_code, image.error_detail = refusal or ("", "")
    image.claim, image.lease_until, image.attempts = "", None, 0
    image.deleted_at = None


def wake(images: int) -> None:
    """Wake workers to process waiting images. A lost message does no harm: the periodic sweep
    sends another, and a worker claims whatever waits."""
    calls = min(math.ceil(images / settings.INGEST_BATCH), _MAX_WAKEUPS)
    try:
        calls = min(calls, max(0, _MAX_WAKEUPS - queue.waiting(queue.INGEST)))
        for _ in range(calls):
            queue.send("ingest.process")
    except queue.QueueUnavailable:
        log.warning("Redis is down: %d images wait for the sweeper", images)
