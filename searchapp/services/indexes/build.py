"""Filling an index under construction: which stretch of images is whose, and how far it is.

Workers walk through a dataset's images by key, a stretch (`IndexChunk`) at a time. Who moves the
index's cursor by compare-and-swap has made the stretch theirs, in the same transaction; it goes
when its images are in. What a killed worker leaves is claimed again when its lease has ended. At
the end a second round looks for images that came by another way while the index was built.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone

from searchapp.models import (
    LIVE_INDEXES,
    Image,
    Index,
    IndexChunk,
    IndexGap,
    IndexState,
    VectorCleanup,
)
from searchapp.services.indexes import lifecycle

LEASE = timedelta(seconds=30)
PAUSE = timedelta(seconds=5)
MAX_ATTEMPTS = 3
# Images in a stretch: in the second round nearly all are there already, and only looked up.
_STRETCH = (256, 4096)


@dataclass(frozen=True)
class BuildProgress:
    """How far an index is. `rate` is pictures a second, by all who work on it now."""

    done: int
    total: int
    checking: bool  # the second round
    workers: int  # that hold a stretch of it now
    rate: float | None
    seconds_left: float | None
    gaps: int
    owed: int  # stretches that wait or are worked on


def progress_of(found: Sequence[Index]) -> dict[int, BuildProgress]:
    """Return how far these indexes are, by key, in two statements."""
    now = timezone.now()
    working = Q(lease_until__gte=now) & ~Q(claim="")
    chunks = {
        pk: (owed, held)
        for pk, owed, held in IndexChunk.objects.filter(index__in=found)
        .order_by()
        .values_list("index_id")
        .annotate(owed=Count("pk"), held=Count("pk", filter=working))
    }
    gaps = dict(
        IndexGap.objects.filter(index__in=found)
        .order_by()
        .values_list("index_id")
        .annotate(number=Count("pk"))
    )
    return {index.pk: _progress(index, *chunks.get(index.pk, (0, 0)), gaps) for index in found}


def _progress(index: Index, owed: int, held: int, gaps: Mapping[int, int]) -> BuildProgress:
    alone = index.embedded / index.seconds if index.embedded and index.seconds > 0 else None
    rate = alone * max(1, held) if alone else None
    done = min(index.done, index.total)
    left = index.total - done
    return BuildProgress(
        done=done,
        total=index.total,
        checking=index.round > 0,
        workers=held,
        rate=rate,
        seconds_left=left / rate if rate and left else None,
        gaps=gaps.get(index.pk, 0),
        owed=owed,
    )


def waiting() -> list[Index]:
    """Return the indexes that a worker could do something for, longest untouched first."""
    claimable = IndexChunk.objects.filter(_claimable()).order_by().values("index_id")
    able = Q(state=IndexState.BUILDING) | Q(pk__in=claimable)
    rows = Index.objects.filter(able, state__in=LIVE_INDEXES, dataset__deleted=None)
    return list(rows.order_by("updated"))


def _claimable() -> Q:
    """Nobody's, and no longer to be left alone; or of somebody whose lease has ended."""
    return Q(lease_until=None) | Q(lease_until__lt=timezone.now())


def claim(index: Index) -> IndexChunk | None:
    """Claim a stretch of `index` for this caller alone; None while there is nothing to do.

    An index that is whole becomes ready here.
    """
    left = index.chunks.filter(_claimable()).order_by("pk").values_list("pk", flat=True)
    for pk in list(left[:10]):
        token = secrets.token_hex(16)
        won = IndexChunk.objects.filter(_claimable(), pk=pk).update(
            claim=token, lease_until=timezone.now() + LEASE, attempts=F("attempts") + 1
        )
        if won:
            _touch(index)
            return IndexChunk.objects.filter(pk=pk, claim=token).first()
    for _ in range(3):
        index.refresh_from_db(fields=["state", "cursor", "round"])
        if index.state != IndexState.BUILDING:
            return None
        chunk = _next_stretch(index)
        if chunk is not None:
            return chunk
        if not _at_the_end(index):
            return None
    return None


def _next_stretch(index: Index) -> IndexChunk | None:
    ahead = lifecycle.members(index.dataset_id).filter(pk__gt=index.cursor).order_by("pk")
    keys = list(ahead.values_list("pk", flat=True)[: _STRETCH[min(index.round, 1)]])
    if not keys:
        return None
    with transaction.atomic():
        unmoved = Index.objects.filter(
            pk=index.pk, state=IndexState.BUILDING, cursor=index.cursor, round=index.round
        )
        if not unmoved.update(cursor=keys[-1], updated=timezone.now()):
            return None
        return IndexChunk.objects.create(
            index=index,
            first=keys[0],
            last=keys[-1],
            claim=secrets.token_hex(16),
            lease_until=timezone.now() + LEASE,
            attempts=1,
        )


def _at_the_end(index: Index) -> bool:
    """Begin the second round, or end it; returns whether there may be more to claim.

    Chunks are made with the move of the cursor: when none is left after it was read, and it has not
    moved since, everything up to it is in.
    """
    if lifecycle.members(index.dataset_id).filter(pk__gt=index.cursor).exists():
        return True  # another worker was quicker, or an image has just become ready
    if index.chunks.exists():
        return False
    now = timezone.now()
    unmoved = Index.objects.filter(
        pk=index.pk, state=IndexState.BUILDING, cursor=index.cursor, round=index.round
    )
    if index.round == 0:
        return bool(unmoved.update(cursor=0, round=1, done=F("total"), updated=now))
    if unmoved.update(state=IndexState.READY, built=now, updated=now):
        lifecycle.warm(index)
    return False


def _touch(index: Index) -> None:
    Index.objects.filter(pk=index.pk).update(updated=timezone.now())


def images_in(index: Index, chunk: IndexChunk, limit: int) -> list[Image]:
    """Return the first `limit` images of a stretch that the index should hold."""
    found = lifecycle.members(index.dataset_id).filter(pk__gte=chunk.first, pk__lte=chunk.last)
    return list(found.order_by("pk")[:limit])


def renew(chunk: IndexChunk) -> None:
    """Prolong the lease of a stretch that is still being worked on."""
    _held(chunk).update(lease_until=timezone.now() + LEASE)


def _held(chunk: IndexChunk) -> QuerySet[IndexChunk]:
    return IndexChunk.objects.filter(pk=chunk.pk, claim=chunk.claim).exclude(claim="")


def step(
    index: Index, chunk: IndexChunk, upto: int, passed: int, embedded: int, seconds: float
) -> bool:
    """Write down that the images up to key `upto` are in; returns whether the claim still holds."""
    attempts = min(chunk.attempts, 2)  # it got on: only dying at one and the same image counts
    won = _held(chunk).update(first=upto + 1, attempts=attempts, lease_until=timezone.now() + LEASE)
    if not won:
        return False
    chunk.first, chunk.attempts = upto + 1, attempts
    first_round = Index.objects.filter(pk=index.pk, state=IndexState.BUILDING, round=0)
    first_round.update(done=F("done") + passed)
    Index.objects.filter(pk=index.pk, state=IndexState.BUILDING).update(
        embedded=F("embedded") + embedded, seconds=F("seconds") + seconds
    )
    return True


def finish(chunk: IndexChunk) -> None:
    """A stretch is in."""
    _held(chunk).delete()


def release(chunk: IndexChunk, *, pause: bool = False, counts: bool = False) -> None:
    """Leave a stretch to whoever comes next, after a pause where something must come back first.

    With `counts`, it counts as a try that came to nothing.
    """
    changed = {"claim": "", "lease_until": timezone.now() + PAUSE if pause else None}
    _held(chunk).update(**changed, attempts=F("attempts") - (0 if counts else 1))


def note_gaps(index: Index, gaps: Sequence[tuple[int, str, str]]) -> None:
    """Write down images (key, code, sentence) that cannot be added."""
    there = set(Image.objects.filter(pk__in=[gap[0] for gap in gaps]).values_list("pk", flat=True))
    IndexGap.objects.bulk_create(
        (
            IndexGap(index=index, image_id=pk, error_code=code, error_detail=detail[:500])
            for pk, code, detail in gaps
            if pk in there
        ),
        ignore_conflicts=True,
    )


def forget_strays(index: Index, written: Sequence[int]) -> None:
    """Forget vectors that were written of images that are gone, or into an index that was given up
    meanwhile: writing has made its collection anew."""
    if not Index.objects.filter(pk=index.pk).exclude(state=IndexState.RETIRED).exists():
        VectorCleanup.objects.create(collection=index.collection)
        return
    there = set(Image.objects.there().filter(pk__in=written).values_list("pk", flat=True))
    VectorCleanup.objects.bulk_create(
        VectorCleanup(collection=index.collection, image_id=pk) for pk in written if pk not in there
    )
