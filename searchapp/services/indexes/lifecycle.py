"""Lifecycle of indexes: create, activate, roll back, retire, retry, and keep up to date."""

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

# The most images in a chunk that is made from a list of keys.
OWED_IN_CHUNK = 1000
# Wake-up messages in Redis at any time; each worker that takes one sends the next.
_CALLS = 2
TASK = "indexing.advance"


def live(datasets: Iterable[int]) -> dict[int, list[Index]]:
    """Return, by dataset, the indexes that new images go into, the active one first."""
    by_dataset: dict[int, list[Index]] = {}
    rows = Index.objects.filter(dataset__in=list(datasets), state__in=LIVE_INDEXES)
    for index in sorted(rows, key=lambda index: (index.state != IndexState.ACTIVE, index.pk)):
        by_dataset.setdefault(index.dataset_id, []).append(index)
    return by_dataset


def members(dataset_id: int) -> QuerySet[Image]:
    """Return the images that a dataset's indexes hold. Restored images are processed again."""
    return Image.objects.filter(dataset=dataset_id, state=ImageState.READY)


def note_runtimes(runtimes: Mapping[int, tuple[str, str]]) -> None:
    """Record, by index, the runtime and precision that computed its first vectors."""
    for pk, (runtime, precision) in runtimes.items():
        Index.objects.filter(pk=pk, runtime="").update(runtime=runtime, precision=precision)


def create_index(dataset: Dataset, pipeline: str) -> Index:
    """Begin an index of `dataset` under another pipeline, beside the existing ones.

    Raises `Invalid` (`unknown_pipeline`, `weights_missing`) when the pipeline is not available, and
    `Conflict` when an index has the same fingerprint (`index_exists`) or another one is being built
    (`index_building`).
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
    """Lock the dataset's row, which serialises changes to the states of its indexes."""
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
    """Let searches use `index` from now on; the previous one is kept and updated.

    Raises `Conflict` (`wrong_index_state`) when it is not ready.
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
    """Return the previously active index, if it is still ready.

    The first index of a dataset was never activated: it was active from the beginning.
    """
    ready = dataset.indexes.filter(state=IndexState.READY)
    before = ready.exclude(activated=None).order_by("-activated").first()
    first = dataset.indexes.order_by("pk").first()
    if before is None and first is not None and first.state == IndexState.READY:
        return first
    return before


def rollback(dataset: Dataset) -> Index:
    """Activate the previously active index and return it.

    Raises `Conflict` (`nothing_to_roll_back`) when there is none.
    """
    target = rollback_target(dataset)
    if target is None:
        raise Conflict(
            "nothing_to_roll_back", "No index of this dataset was active before the present one."
        )
    activate(target)
    return target


def retire(index: Index) -> None:
    """Retire an index that is not active, built or not, and free its space.

    Raises `Conflict` (`wrong_index_state`) when it is active or retired.
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
    """Resume the build of a failed index.

    Raises `Conflict` when it has not failed (`wrong_index_state`), when an index has the same
    fingerprint (`index_exists`) or when another one is being built (`index_building`).
    """
    with transaction.atomic():
        _lock(index.dataset_id)
        index.refresh_from_db()
        if index.state != IndexState.FAILED:
            raise _wrong_state(index, "tried again", "failed")
        _may_build(index.dataset_id, index.fingerprint)
        # Images added while it was failed are missing from it: the second round adds them.
        index.cursor = index.cursor if index.round == 0 else 0
        index.state, index.error_code, index.error_detail = IndexState.BUILDING, "", ""
        index.save()
        index.chunks.update(claim="", lease_until=None, attempts=0)
        transaction.on_commit(call_workers)


def fail(index: Index, code: str, detail: str) -> None:
    """Mark an index that is not active as failed, until it is retried."""
    states = (IndexState.BUILDING, IndexState.READY)
    Index.objects.filter(pk=index.pk, state__in=states).update(
        state=IndexState.FAILED,
        error_code=code,
        error_detail=detail[:500],
        updated=timezone.now(),
    )


def try_again(index: Index) -> None:
    """Resume a failed index; for a complete one, retry the images that could not be added.

    Raises `Conflict` when `retry` does, and (`wrong_index_state`) when there is nothing to retry.
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
    """Queue images, given by ascending keys, to be added to a live index."""
    IndexChunk.objects.bulk_create(
        IndexChunk(
            index=index,
            first=images[start],
            last=images[min(start + OWED_IN_CHUNK, len(images)) - 1],
        )
        for start in range(0, len(images), OWED_IN_CHUNK)
    )


def settle_debts(images: Sequence[Image], into: Iterable[int]) -> None:
    """Reconcile images that become ready in this transaction, with vectors `into` these indexes.

    Indexes created meanwhile are queued to receive them; collections of indexes retired meanwhile
    are queued for deletion.
    """
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
    """Wake workers to build indexes. A lost message does no harm: the sweep sends another."""
    with contextlib.suppress(queue.QueueUnavailable):
        for _ in range(_CALLS - queue.waiting_of(queue.INGEST, TASK)):
            queue.send(TASK)


def warm(index: Index) -> None:
    """Let query workers load the model of `index`, so that the first search need not wait."""
    with contextlib.suppress(queue.QueueUnavailable):
        queue.send("query.warm", expires=60, pipeline=index.pipeline, fingerprint=index.fingerprint)


def gaps_of(index: Index, limit: int = 100) -> list[IndexGap]:
    """Return the first `limit` images that could not be added, with the reason for each."""
    return list(index.gaps.select_related("image").order_by("pk")[:limit])


def _wrong_state(index: Index, what: str, states: str) -> Conflict:
    return Conflict(
        "wrong_index_state",
        f"This index is {index.state}; only one that is {states} can be {what}.",
    )
