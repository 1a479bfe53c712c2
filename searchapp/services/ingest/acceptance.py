"""A picture comes in: its bytes are kept, its rows committed, and only then is a worker woken."""

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
)
from searchapp.services.errors import ServiceError
from searchapp.services.imports import job_progress
from searchapp.services.ingest import claims

if TYPE_CHECKING:
    from django.contrib.auth.models import User

log = logging.getLogger(__name__)
# Wake-up calls in Redis at any time; each one that finds a full batch calls the next.
_MAX_WAKEUPS = 8
# An image in one of these states is what the same bytes make of it anew, under the same id.
_TRIED_AGAIN = (ImageState.REJECTED, ImageState.FAILED, ImageState.DELETED)
NAME_LENGTH = 255  # characters of a file's name that are kept; its end says more
_DESCRIBED = ["title", "label", "tags", "metadata"]
_ARRIVED = [
    "sha256", "bytes", "name", "box", "reference", "turn", "state", "error_code", "error_detail",
    "claim", "lease_until", "attempts", "deleted_at",
]  # fmt: skip


@dataclass
class Arrival:
    """A file with what is to be known of it."""

    upload: HashedUpload
    title: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    tags: Sequence[str] = ()
    # Left, top, width, height in pixels, of a picture that is a part of its file.
    box: Sequence[int] | None = None
    # Where the file stays: then it is not kept here. See `searchapp.infra.originals`.
    reference: str = ""
    # SHA-256 of the bytes that were sent, where `upload` was made from them.
    sent: str = ""
    on_duplicate: OnDuplicate = OnDuplicate.SKIP
    name: str = ""  # as its source calls it; else as the upload does

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
    """Take files into `dataset`: see `accept_arrivals`."""
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
    """Take files into `dataset`. When this returns they are on disk and in the database.

    Bytes that the dataset has already lead to the image that is there. Bytes that it has rejected
    or failed on are tried again, under the same id. A file that is refused at the door (empty, too
    large) becomes a rejected image, so that it has an address and a reason like any other. Where
    no worker can run yet, `call_workers` is false and the sweeper's first call starts them.

    Raises:
        ServiceError: code `storage_full` when nothing could be kept; then no row exists either.
    """
    account = user if user is not None and user.is_authenticated else None
    try:
        with transaction.atomic():
            lock_contents(arrival.upload.sha256 for arrival in arrivals)
            job = ImportJob.objects.create(
                dataset=dataset, user=account, total=len(arrivals), turn=claims.turn_now()
            )
            taken = take(dataset, arrivals, account, source, job.turn)
            ImportItem.objects.bulk_create(
                ImportItem(
                    job=job,
                    position=position,
                    name=arrival.upload.name or "",
                    image=image,
                    duplicate=duplicate,
                    state=image.state,
                    error_code=image.error_code,
                    error_detail=image.error_detail,
                )
                for position, (arrival, (image, duplicate)) in enumerate(
                    zip(arrivals, taken, strict=True)
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
    """Return for each arrival its image, and whether that was there before.

    The first new image gets the turn `turn`, the others those behind it. Call it inside a
    transaction that holds the locks on the contents. The number of statements does not depend on
    that of the arrivals.
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
    taken: list[tuple[Image, bool]] = []
    for place, arrival in enumerate(arrivals):
        upload, key = arrival.upload, arrival.content_key
        image = known.get(key)
        if image is not None and image.state not in _TRIED_AGAIN:
            if arrival.on_duplicate != OnDuplicate.COPY:
                if arrival.on_duplicate == OnDuplicate.LINK:
                    _describe(image, arrival)
                    if image.pk:
                        linked[image.pk] = image
                taken.append((image, True))
                continue
            # A copy's number only has to be its own: one drawn at random needs no look at others.
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
        taken.append((image, False))
    update_rows(again.values(), [*_ARRIVED, *_DESCRIBED])
    # Not as those above: of ready pictures, Milvus must be told.
    Image.objects.bulk_update(
        [image for image in linked.values() if image.pk not in again], _DESCRIBED
    )
    Image.objects.bulk_create(fresh)
    return taken


def _describe(image: Image, arrival: Arrival) -> None:
    """Give the image what is said of it; what it has already stays where nothing is said."""
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
    """Call for workers to look at what waits. Losing the call loses nothing: the sweeper calls
    again, and a worker takes whatever waits, not what the call was about."""
    calls = min(math.ceil(images / settings.INGEST_BATCH), _MAX_WAKEUPS)
    try:
        calls = min(calls, max(0, _MAX_WAKEUPS - queue.waiting(queue.INGEST)))
        for _ in range(calls):
            queue.send("ingest.process")
    except queue.QueueUnavailable:
        log.warning("Redis is down: %d images wait for the sweeper", images)
