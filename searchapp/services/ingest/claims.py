"""Claims of images by ingest workers: claim, renew, finish, fail, release and retry.

Every change is a compare-and-swap on the row's claim, so that a worker whose lease has expired
cannot overwrite what its successor did.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from searchapp.infra.bulk_update import update_rows
from searchapp.models import PENDING_ITEMS, Image, ImageState, ImportItem, ItemState, Source
from searchapp.models.partial_indexes import IMAGE_PENDING
from searchapp.services.imports import job_progress
from searchapp.services.indexes import lifecycle

LEASE = timedelta(seconds=30)
MAX_ATTEMPTS = 3
# The smallest batch that sharing waiting images between processes leads to.
_MIN_BATCH = 8
_RETRY_PAUSE = timedelta(seconds=5)
FACTS = ["format", "width", "height", "color"]


def claim(limit: int) -> list[Image]:
    """Claim up to `limit` waiting images, by turn, for this caller alone.

    Images whose batch failed before (in a crash, for example) are claimed one by one, so that a
    file that kills its worker does not affect others again.
    """
    return _claim(limit, attempts=0) or _claim(1, attempts=None)


def _claim(limit: int, attempts: int | None) -> list[Image]:
    now = timezone.now()
    token = secrets.token_hex(16)
    waiting = _waiting()
    if attempts is not None:
        waiting = waiting.filter(attempts=attempts)
        limit = _share(waiting, limit)
    chosen = waiting.order_by("turn", "pk").values("pk")[:limit]
    # Another worker may select the same rows: only those still 'received' are claimed.
    won = Image.objects.filter(pk__in=chosen, state=ImageState.RECEIVED).update(
        state=ImageState.PROCESSING,
        claim=token,
        lease_until=now + LEASE,
        attempts=F("attempts") + 1,
    )
    if not won:
        return []
    claimed = Image.objects.filter(IMAGE_PENDING, state=ImageState.PROCESSING, claim=token)
    mine = list(claimed.order_by("pk"))
    # Imports begin their own jobs.
    job_progress.begin(
        [image.pk for image in mine if image.source not in (Source.IMPORT, Source.COPY)]
    )
    return mine


def _waiting() -> QuerySet[Image]:
    """Return the images that can be claimed now."""
    received = Image.objects.filter(IMAGE_PENDING, state=ImageState.RECEIVED)
    return received.exclude(lease_until__gt=timezone.now())


def _share(waiting: QuerySet[Image], limit: int) -> int:
    """Return the batch size for one process, such that few waiting images are shared by all."""
    processes: int = settings.INGEST_PROCESSES
    number = len(waiting.order_by().values_list("pk", flat=True)[: limit * processes])
    return min(limit, max(_MIN_BATCH, -(-number // processes)))


def turn_now() -> int:
    """Return the turn being served now; a new import counts on from it."""
    received = Image.objects.filter(IMAGE_PENDING, state=ImageState.RECEIVED, attempts=0)
    waiting = received.order_by("turn")
    return waiting.values_list("turn", flat=True).first() or 0


def renew(images: Sequence[Image]) -> None:
    """Extend the leases of a batch that is still being processed."""
    _held(images).update(lease_until=timezone.now() + LEASE)


def _held(images: Sequence[Image]) -> QuerySet[Image]:
    """Return those of `images` whose claims still hold."""
    return Image.objects.filter(
        pk__in=[image.pk for image in images], claim__in={image.claim for image in images}
    )


def finish(images: Sequence[Image], into: Sequence[int]) -> list[int]:
    """Mark images as ready whose vectors were stored `into` these indexes, and save their `FACTS`.

    Indexes created meanwhile are queued to receive them. Returns the ids of images that were
    deleted meanwhile, whose vectors must be deleted.
    """
    if not images:
        return []
    for image in images:
        image.state, image.error_code, image.error_detail = ImageState.READY, "", ""
        image.ready_at = timezone.now()
    mine = _write(images, [*FACTS, "ready_at"], into)
    if len(mine) == len(images):
        return []
    ids = {image.pk for image in images}
    there = Image.objects.there().filter(pk__in=ids - {image.pk for image in mine})
    return sorted(ids - {image.pk for image in mine} - set(there.values_list("pk", flat=True)))


@dataclass(frozen=True)
class Bad:
    """An image that could not be processed. `state` is rejected (the file is bad) or failed (the
    file may be good, and can be retried)."""

    image: Image
    state: ImageState
    code: str
    detail: str


def end(bad: Sequence[Bad]) -> None:
    """Record the outcomes of rejected and failed images, in one transaction."""
    for one in bad:
        one.image.state, one.image.error_code = one.state, one.code
        one.image.error_detail = one.detail[:500]
    _write([one.image for one in bad], FACTS)


def fail(images: Sequence[Image], code: str, detail: str) -> None:
    end([Bad(image, ImageState.FAILED, code, detail) for image in images])


def _write(
    images: Sequence[Image], facts: Sequence[str], into: Sequence[int] | None = None
) -> list[Image]:
    """Save outcomes to images and import items, for claims that still hold; returns those."""
    if not images:
        return []
    with transaction.atomic():
        ours = set(_held(images).select_for_update().values_list("pk", flat=True))
        mine = [image for image in images if image.pk in ours]
        for image in mine:
            image.claim, image.lease_until = "", None
        changed = [*facts, "state", "error_code", "error_detail", "claim", "lease_until"]
        update_rows(mine, changed)
        if into is not None:
            lifecycle.settle_debts(mine, into)
        # Not the items of images claimed by another worker: their outcome is still to come.
        by_key = {image.pk: image for image in mine}
        items = list(
            ImportItem.objects.filter(image__in=by_key, state__in=PENDING_ITEMS).only(
                "job_id", "image_id"
            )
        )
        for item in items:
            image = by_key[item.image_id or 0]
            item.state, item.error_code = image.state, image.error_code
            item.error_detail, item.attempts = image.error_detail, image.attempts
            item.duration = image.duration
        update_rows(items, ["state", "error_code", "error_detail", "attempts", "duration"])
    # After the commit: of two workers with a job's last files, the later one sees all outcomes.
    jobs_touched = {item.job_id for item in items}
    transaction.on_commit(lambda: job_progress.settle(jobs_touched))
    return mine


def release(images: Sequence[Image]) -> None:
    """Return images to the queue, such as while Milvus is down; does not count as an attempt."""
    _held(images).update(
        state=ImageState.RECEIVED,
        claim="",
        lease_until=timezone.now() + _RETRY_PAUSE,
        attempts=F("attempts") - 1,
    )


def free_expired() -> int:
    """Release expired claims, and fail images at `MAX_ATTEMPTS`. Returns how many were released."""
    images = Image.objects.filter(IMAGE_PENDING, state=ImageState.PROCESSING)
    expired = images.filter(lease_until__lt=timezone.now())
    fail(
        list(expired.filter(attempts__gte=MAX_ATTEMPTS)[:100]),
        "worker_died",
        f"The worker died {MAX_ATTEMPTS} times while it dealt with this file.",
    )
    return expired.filter(attempts__lt=MAX_ATTEMPTS).update(
        state=ImageState.RECEIVED, claim="", lease_until=None
    )


def retry(images: Sequence[Image]) -> int:
    """Queue failed images again; returns how many."""
    ids = [image.pk for image in images]
    with transaction.atomic():
        items = ImportItem.objects.filter(image__in=ids, state=ItemState.FAILED)
        job_progress.reopen(set(items.values_list("job_id", flat=True)))
        items.update(state=ItemState.RECEIVED, error_code="", error_detail="")
        return Image.objects.filter(pk__in=ids, state=ImageState.FAILED).update(
            state=ImageState.RECEIVED, error_code="", error_detail="", attempts=0
        )


def waits() -> bool:
    """Return whether there are images that a worker could claim now."""
    return _waiting().order_by().exists()


def waiting() -> int:
    """Return how many images a worker could claim now, counting to 1,000 at most."""
    return len(_waiting().order_by().values_list("pk", flat=True)[:1000])
