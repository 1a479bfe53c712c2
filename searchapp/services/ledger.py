"""The states of images while workers deal with them: claimed, finished, rejected, released.

Every change is a compare-and-swap on the row's claim, so that a worker that was given up for dead
and comes back cannot overwrite what its successor did.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from searchapp.models import PENDING_STATES, Image, ImageState, ImportItem

LEASE = timedelta(seconds=30)
MOST_ATTEMPTS = 3
_RETRY_PAUSE = timedelta(seconds=5)
FACTS = ["format", "width", "height", "color"]


def claim(limit: int) -> list[Image]:
    """Claim up to `limit` images that wait, oldest first, for this caller alone.

    Images whose batch came to nothing before (a crash, say) are claimed one by one, so that one
    file that kills its worker does not take others with it again.
    """
    return _claim(limit, attempts=0) or _claim(1, attempts=None)


def _claim(limit: int, attempts: int | None) -> list[Image]:
    now = timezone.now()
    token = secrets.token_hex(16)
    waiting = Image.objects.filter(state=ImageState.RECEIVED).exclude(lease_until__gt=now)
    if attempts is not None:
        waiting = waiting.filter(attempts=attempts)
    chosen = list(waiting.order_by("pk").values_list("pk", flat=True)[:limit])
    # Another worker may have chosen the same rows: only those still 'received' become ours.
    won = Image.objects.filter(pk__in=chosen, state=ImageState.RECEIVED).update(
        state=ImageState.PROCESSING,
        claim=token,
        lease_until=now + LEASE,
        attempts=F("attempts") + 1,
    )
    return list(Image.objects.filter(claim=token).order_by("pk")) if won else []


def renew(images: Sequence[Image]) -> None:
    """Prolong the leases of a batch that is still being worked on."""
    _held(images).update(lease_until=timezone.now() + LEASE)


def _held(images: Sequence[Image]) -> QuerySet[Image]:
    """Those of `images` that are still ours."""
    return Image.objects.filter(
        pk__in=[image.pk for image in images], claim__in={image.claim for image in images}
    )


def finish(images: Sequence[Image]) -> list[int]:
    """Mark as ready the images whose vectors are stored, with their facts (`FACTS`).

    Returns:
        The ids of images that were deleted meanwhile: their vectors must be forgotten.
    """
    if not images:
        return []
    ids = [image.pk for image in images]
    with transaction.atomic():
        ours = set(_held(images).select_for_update().values_list("pk", flat=True))
        mine = [image for image in images if image.pk in ours]
        Image.objects.bulk_update(mine, FACTS)
        Image.objects.filter(pk__in=ours).update(
            state=ImageState.READY,
            ready_at=timezone.now(),
            claim="",
            lease_until=None,
            error_code="",
            error_detail="",
        )
        # Not those of images that somebody else holds by now: their outcome is still to come.
        ImportItem.objects.filter(image__in=ours, state__in=PENDING_STATES).update(
            state=ImageState.READY
        )
    if len(mine) == len(ids):
        return []
    there = set(Image.objects.filter(pk__in=ids).values_list("pk", flat=True))
    return [pk for pk in ids if pk not in there]


def reject(image: Image, code: str, detail: str) -> None:
    """The file is bad, for good."""
    _end(image, ImageState.REJECTED, code, detail)


def fail(image: Image, code: str, detail: str) -> None:
    """We could not, though the file may be good."""
    _end(image, ImageState.FAILED, code, detail)


@transaction.atomic
def _end(image: Image, state: ImageState, code: str, detail: str) -> None:
    changed = Image.objects.filter(pk=image.pk, claim=image.claim).update(
        state=state,
        error_code=code,
        error_detail=detail[:500],
        claim="",
        lease_until=None,
        **{fact: getattr(image, fact) for fact in FACTS},
    )
    if changed:
        ImportItem.objects.filter(image=image, state__in=PENDING_STATES).update(
            state=state, error_code=code, error_detail=detail[:500]
        )


def release(images: Sequence[Image]) -> None:
    """Put images back that wait for something else, such as Milvus; it does not count as a try."""
    _held(images).update(
        state=ImageState.RECEIVED,
        claim="",
        lease_until=timezone.now() + _RETRY_PAUSE,
        attempts=F("attempts") - 1,
    )


def free_expired() -> int:
    """Free what a dead worker held; give up on what has killed several. Returns how many waited."""
    expired = Image.objects.filter(state=ImageState.PROCESSING, lease_until__lt=timezone.now())
    for image in expired.filter(attempts__gte=MOST_ATTEMPTS)[:100]:
        fail(
            image,
            "worker_died",
            f"The worker died {MOST_ATTEMPTS} times while it dealt with this file.",
        )
    return expired.filter(attempts__lt=MOST_ATTEMPTS).update(
        state=ImageState.RECEIVED, claim="", lease_until=None
    )


def retry(images: Sequence[Image]) -> int:
    """Try again what failed; returns how many images wait anew."""
    ids = [image.pk for image in images]
    with transaction.atomic():
        ImportItem.objects.filter(image__in=ids, state=ImageState.FAILED).update(
            state=ImageState.RECEIVED, error_code="", error_detail=""
        )
        return Image.objects.filter(pk__in=ids, state=ImageState.FAILED).update(
            state=ImageState.RECEIVED, error_code="", error_detail="", attempts=0
        )


def embed_again(images: QuerySet[Image]) -> int:
    """Put ready images back among those that wait for a worker; returns how many."""
    return images.filter(state=ImageState.READY).update(
        state=ImageState.RECEIVED, attempts=0, lease_until=None
    )


def waiting() -> int:
    """Return how many images a worker could claim now, counting to 1,000 at most."""
    now = timezone.now()
    rows = Image.objects.filter(state=ImageState.RECEIVED).exclude(lease_until__gt=now)
    return len(rows.order_by("pk").values_list("pk", flat=True)[:1000])
