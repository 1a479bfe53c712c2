"""The indexes of datasets: made, activated, rolled back, retired, and kept up to date."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from searchapp.infra import queue
from searchapp.models import (
    LIVE_INDEXES,
    Dataset,
    Image,
    ImageState,
    Index,
    IndexChunk,
    IndexGap,
    IndexState,
    VectorCleanup,
)
from searchapp.services.errors import Conflict
from searchapp.services.indexes import pipelines
from searchapp.services.operations import cleanup

# Images that one row of chunks stands for where their keys are known one by one.
OWED_IN_CHUNK = 1000
# Wake-up calls that wait in Redis at any time; each worker that takes one sees to the next.
_CALLS = 2
TASK = "indexing.advance"


def live(datasets: Iterable[int]) -> dict[int, list[Index]]:
    """Return, by dataset, the indexes that new images go into, the active one first."""
    found: dict[int, list[Index]] = {}
    rows = Index.objects.filter(dataset__in=list(datasets), state__in=LIVE_INDEXES)
    for index in sorted(rows, key=lambda index: (index.state != IndexState.ACTIVE, index.pk)):
        found.setdefault(index.dataset_id, []).append(index)
    return found


def members(dataset_id: int) -> QuerySet[Image]:
    """The images that a dataset's indexes hold. (What is deleted and brought back comes anew.)"""
    return Image.objects.filter(dataset=dataset_id, state=ImageState.READY)


def note_runtimes(runtimes: Mapping[int, tuple[str, str]]) -> None:
    """Record, by index, the runtime and precision that computed its first vectors."""
    for pk, (runtime, precision) in runtimes.items():
        Index.objects.filter(pk=pk, runtime="").update(runtime=runtime, precision=precision)


def create_index(dataset: Dataset, pipeline: str) -> Index:
    """Begin an index of `dataset` under another pipeline, beside those that are there.

    Raises:
        Invalid: codes `unknown_pipeline`, `weights_missing`.
        Conflict: `index_exists` for a fingerprint that is there, `index_building` while another
            one is under construction.
    """
    chosen = pipelines.find(pipeline)
    with transaction.atomic():
        _lock(dataset.pk)
        _may_build(dataset.pk, chosen.fingerprint)
        index = Index.objects.create(
            dataset=dataset,
            state=IndexState.BUILDING,
            pipeline=chosen.name,
            recipe=chosen.to_dict(),
            fingerprint=chosen.fingerprint,
            dimension=chosen.dimension,
            total=members(dataset.pk).count(),
        )
        transaction.on_commit(call_workers)
    return index


def _lock(dataset_id: int) -> None:
    """One at a time changes the states of a dataset's indexes."""
    Dataset.objects.select_for_update().get(pk=dataset_id)


def _may_build(dataset_id: int, fingerprint: str) -> None:
    there = Index.objects.filter(dataset=dataset_id, state__in=LIVE_INDEXES)
    if there.filter(fingerprint=fingerprint).exists():
        raise Conflict(
            "index_exists", "This dataset has an index of that pipeline: their vectors are equal."
        )
    if there.filter(state=IndexState.BUILDING).exists():
        raise Conflict(
            "index_building",
            "One index is built at a time: wait until the other one is ready, or discard it.",
        )


def activate(index: Index) -> None:
    """Let searches use `index` from now on; the one before stays, and is kept up to date.

    Raises:
        Conflict: `wrong_index_state` unless it is ready.
    """
    with transaction.atomic():
        _lock(index.dataset_id)
        index.refresh_from_db(fields=["state"])
        if index.state != IndexState.READY:
            raise _wrong_state(index, "activated", "ready")
        now = timezone.now()
        siblings = Index.objects.filter(dataset=index.dataset_id)
        siblings.filter(state=IndexState.ACTIVE).update(state=IndexState.READY, updated=now)
        siblings.filter(pk=index.pk).update(state=IndexState.ACTIVE, activated=now, updated=now)
        transaction.on_commit(lambda: warm(index))
    index.refresh_from_db()


def rollback_target(dataset: Dataset) -> Index | None:
    """Return the index that was active before the one that is now, while it is still ready.

    The first index of a dataset was never activated: it was active from the beginning.
    """
    ready = dataset.indexes.filter(state=IndexState.READY)
    before = ready.exclude(activated=None).order_by("-activated").first()
    first = dataset.indexes.order_by("pk").first()
    if before is None and first is not None and first.state == IndexState.READY:
        return first
    return before


def rollback(dataset: Dataset) -> Index:
    """Activate the index that was active before; returns it.

    Raises:
        Conflict: `nothing_to_roll_back`.
    """
    target = rollback_target(dataset)
    if target is None:
        raise Conflict(
            "nothing_to_roll_back", "No index of this dataset was active before the present one."
        )
    activate(target)
    return target


def retire(index: Index) -> None:
    """Give up an index that no search uses, built or not, and free its space.

    Raises:
        Conflict: `wrong_index_state` for the active one and for one that is retired.
    """
    allowed = (IndexState.READY, IndexState.BUILDING, IndexState.FAILED)
    with transaction.atomic():
        _lock(index.dataset_id)
        now = timezone.now()
        won = Index.objects.filter(pk=index.pk, state__in=allowed).update(
            state=IndexState.RETIRED, retired=now, updated=now
        )
        if not won:
            index.refresh_from_db(fields=["state"])
            raise _wrong_state(index, "retired", "ready, building or failed")
        index.chunks.all().delete()
        index.gaps.all().delete()
        VectorCleanup.objects.create(collection=index.collection)
        transaction.on_commit(_forget)
    index.refresh_from_db()


def _forget() -> None:
    cleanup.forget_vectors()


def retry(index: Index) -> None:
    """Go on with an index that failed.

    Raises:
        Conflict: `wrong_index_state` unless it has failed; `index_exists`, `index_building`.
    """
    with transaction.atomic():
        _lock(index.dataset_id)
        index.refresh_from_db()
        if index.state != IndexState.FAILED:
            raise _wrong_state(index, "tried again", "failed")
        _may_build(index.dataset_id, index.fingerprint)
        # What came while it had failed went past it: the second round finds that.
        index.cursor = index.cursor if index.round == 0 else 0
        index.state, index.error_code, index.error_detail = IndexState.BUILDING, "", ""
        index.save()
        index.chunks.update(claim="", lease_until=None, attempts=0)
        transaction.on_commit(call_workers)


def fail(index: Index, code: str, detail: str) -> None:
    """Give up on an index that is not active, until somebody tries it again."""
    states = (IndexState.BUILDING, IndexState.READY)
    Index.objects.filter(pk=index.pk, state__in=states).update(
        state=IndexState.FAILED,
        error_code=code,
        error_detail=detail[:500],
        updated=timezone.now(),
    )


def try_again(index: Index) -> None:
    """Go on with an index that failed; of one that is whole, try the pictures again that could not
    be added.

    Raises:
        Conflict: see `retry`; `wrong_index_state` where there is nothing to try.
    """
    if index.state in (IndexState.READY, IndexState.ACTIVE) and index.gaps.exists():
        _retry_gaps(index)
    else:
        retry(index)


def _retry_gaps(index: Index) -> None:
    with transaction.atomic():
        keys = sorted(index.gaps.values_list("image_id", flat=True))
        index.gaps.all().delete()
        owe(index, keys)
        transaction.on_commit(call_workers)


def owe(index: Index, images: Sequence[int]) -> None:
    """Write down that these images, by ascending keys, are still to be added to a live index."""
    IndexChunk.objects.bulk_create(
        IndexChunk(
            index=index,
            first=images[start],
            last=images[min(start + OWED_IN_CHUNK, len(images)) - 1],
        )
        for start in range(0, len(images), OWED_IN_CHUNK)
    )


def settle_debts(images: Sequence[Image], into: Iterable[int]) -> None:
    """Of images that become ready in this transaction, with vectors `into` these indexes: owe them
    to indexes that began meanwhile, and forget what went into indexes that were given up."""
    written = set(into)
    datasets = {image.dataset_id for image in images}
    rows = Index.objects.filter(dataset__in=datasets).exclude(state=IndexState.FAILED)
    for index in rows.defer("recipe"):
        is_live = index.state in LIVE_INDEXES
        if is_live and index.pk not in written:
            owe(index, sorted(i.pk for i in images if i.dataset_id == index.dataset_id))
        elif not is_live and index.pk in written:
            VectorCleanup.objects.create(collection=index.collection)


def call_workers() -> None:
    """See to it that workers look at what indexes still need. A lost call loses nothing."""
    with contextlib.suppress(queue.QueueUnavailable):
        for _ in range(_CALLS - queue.waiting_of(queue.INGEST, TASK)):
            queue.send(TASK)


def warm(index: Index) -> None:
    """Let query workers load the model of `index`, so that the first visitor need not wait."""
    with contextlib.suppress(queue.QueueUnavailable):
        queue.send("query.warm", expires=60, pipeline=index.pipeline, fingerprint=index.fingerprint)


def gaps_of(index: Index, limit: int = 100) -> list[IndexGap]:
    """Return the first `limit` pictures that could not be added, with the reason of each."""
    return list(index.gaps.select_related("image").order_by("pk")[:limit])


def _wrong_state(index: Index, what: str, states: str) -> Conflict:
    return Conflict(
        "wrong_index_state",
        f"This index is {index.state}; only one that is {states} can be {what}.",
    )
