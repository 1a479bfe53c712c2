"""Building of indexes: claims of chunks of images by workers, progress and gaps.

Workers go through a dataset's images by key, a chunk (`IndexChunk`) at a time. The worker that
moves the index's cursor by compare-and-swap creates and claims the chunk in the same transaction;
the chunk is deleted when its images are in the index. A chunk of a killed worker is claimed again
when its lease has expired. At the end, a second round looks for images that were added by other
means while the index was built.
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
# Images in a chunk, by round: in the second one nearly all are in the index and only looked up.
_STRETCH = (256, 4096)


@dataclass(frozen=True)
class BuildProgress:
    """Progress of an index build. `rate` is images per second, of all its current workers."""

    done: int
    total: int
    checking: bool  # the second round
    workers: int  # that hold a chunk now
    rate: float | None
    seconds_left: float | None
    gaps: int
    owed: int  # chunks that wait or are being processed


def progress_of(indexes: Sequence[Index]) -> dict[int, BuildProgress]:
    """Return the progress of these indexes, by key, in two statements."""
    now = timezone.now()
    working = Q(lease_until__gte=now) & ~Q(claim="")
    chunks = {
        pk: (owed, workers)
        for pk, owed, workers in IndexChunk.objects.filter(index__in=indexes)
        .order_by()
        .values_list("index_id")
        .annotate(owed=Count("pk"), held=Count("pk", filter=working))
    }
    gaps = dict(
        IndexGap.objects.filter(index__in=indexes)
        .order_by()
        .values_list("index_id")
        .annotate(number=Count("pk"))
    )
    return {index.pk: _progress(index, *chunks.get(index.pk, (0, 0)), gaps) for index in indexes}


def _progress(index: Index, owed: int, workers: int, gaps: Mapping[int, int]) -> BuildProgress:
    alone = index.embedded / index.seconds if index.embedded and index.seconds > 0 else None
    rate = alone * max(1, workers) if alone else None
    done = min(index.done, index.total)
    left = index.total - done
    return BuildProgress(
        done=done,
        total=index.total,
        checking=index.round > 0,
        workers=workers,
        rate=rate,
        seconds_left=left / rate if rate and left else None,
        gaps=gaps.get(index.pk, 0),
        owed=owed,
    )


def waiting() -> list[Index]:
    """Return the indexes with work to claim, least recently updated first."""
    claimable = IndexChunk.objects.filter(_claimable()).order_by().values("index_id")
    able = Q(state=IndexState.BUILDING) | Q(pk__in=claimable)
    rows = Index.objects.filter(able, state__in=LIVE_INDEXES, dataset__deleted=None)
    return list(rows.order_by("updated"))


def _claimable() -> Q:
    """Condition for chunks that are free, or whose lease or pause has expired."""
    return Q(lease_until=None) | Q(lease_until__lt=timezone.now())


def claim(index: Index) -> IndexChunk | None:
    """Claim a chunk of `index` for this caller alone; None when there is nothing to do.

    A complete index is marked as ready here.
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

    Chunks are created when the cursor moves: when none is left after it was read, and it has not
    moved since, all images up to it are in the index.
    """
    if lifecycle.members(index.dataset_id).filter(pk__gt=index.cursor).exists():
        return True  # another worker moved the cursor, or an image has just become ready
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
    """Return the first `limit` images of a chunk that the index should hold."""
    images = lifecycle.members(index.dataset_id).filter(pk__gte=chunk.first, pk__lte=chunk.last)
    return list(images.order_by("pk")[:limit])


def renew(chunk: IndexChunk) -> None:
    """Extend the lease of a chunk that is still being processed."""
    _held(chunk).update(lease_until=timezone.now() + LEASE)


def _held(chunk: IndexChunk) -> QuerySet[IndexChunk]:
    return IndexChunk.objects.filter(pk=chunk.pk, claim=chunk.claim).exclude(claim="")


def step(
    index: Index, chunk: IndexChunk, upto: int, passed: int, embedded: int, seconds: float
) -> bool:
    """Record that the images up to key `upto` are in; returns whether the claim still holds."""
    attempts = min(chunk.attempts, 2)  # only repeated failures at the same image count
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
    """Delete a chunk whose images are all in the index."""
    _held(chunk).delete()


def release(chunk: IndexChunk, *, pause: bool = False, counts: bool = False) -> None:
    """Release a chunk for other workers; with `pause`, only after `PAUSE`.

    With `counts`, it counts as a failed attempt.
    """
    changed = {"claim": "", "lease_until": timezone.now() + PAUSE if pause else None}
    _held(chunk).update(**changed, attempts=F("attempts") - (0 if counts else 1))


def note_gaps(index: Index, gaps: Sequence[tuple[int, str, str]]) -> None:
    """Record images (key, code, sentence) that cannot be added."""
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
    """Queue the deletion of vectors of deleted images, or of the whole collection when the index
    was retired meanwhile: writing has created the collection again."""
    if not Index.objects.filter(pk=index.pk).exclude(state=IndexState.RETIRED).exists():
        VectorCleanup.objects.create(collection=index.collection)
        return
    there = set(Image.objects.there().filter(pk__in=written).values_list("pk", flat=True))
    VectorCleanup.objects.bulk_create(
        VectorCleanup(collection=index.collection, image_id=pk) for pk in written if pk not in there
    )
