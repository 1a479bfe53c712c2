"""An index under construction: what it holds in the end, whoever dies meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from searchapp.infra.vectors.store import VectorStore
from searchapp.models import (
    Dataset,
    Image,
    ImageState,
    Index,
    IndexChunk,
    IndexGap,
    IndexState,
    VectorCleanup,
)
from searchapp.services.errors import ServiceError
from searchapp.services.indexes import build, lifecycle
from searchapp.services.ingest import claims
from searchapp.services.operations import cleanup
from tests.infra.vectors.conftest import Launcher
from tests.services.indexes.conftest import OTHER, built, held
from worker.runtime import lease_renewal
from worker.runtime.engines import PipelineEngine, engine_for
from worker.tasks import indexes as indexing
from worker.tasks import ingest
from worker.tasks.indexes import advance

Add = Callable[..., list[Image]]


def test_a_second_index_holds_every_ready_picture(dataset: Dataset, add: Add) -> None:
    images = add(5)
    index = built(lifecycle.create_index(dataset, OTHER))
    assert index.state == IndexState.READY
    assert index.built is not None
    assert held(index) == [image.pk for image in images]
    assert (index.total, index.done, index.embedded) == (5, 5, 5)
    assert dataset.active_index.pipeline != OTHER
    assert not IndexChunk.objects.exists()


def test_of_an_empty_dataset_it_is_ready_at_once(dataset: Dataset) -> None:
    assert built(lifecycle.create_index(dataset, OTHER)).state == IndexState.READY


@pytest.mark.parametrize(
    ("pipeline", "code"),
    [
        ("no-such-pipeline", "unknown_pipeline"),
        ("image-embedding-resnet50", "weights_missing"),
        ("image-embedding-efficientnet-lite0", "index_exists"),
    ],
)
def test_what_cannot_be_built_is_refused(dataset: Dataset, pipeline: str, code: str) -> None:
    with pytest.raises(ServiceError) as refused:
        lifecycle.create_index(dataset, pipeline)
    assert refused.value.code == code
    assert dataset.indexes.count() == 1


def test_one_is_built_at_a_time(dataset: Dataset) -> None:
    lifecycle.create_index(dataset, OTHER)
    with pytest.raises(ServiceError, match="One index is built at a time"):
        lifecycle.create_index(dataset, "image-embedding-efficientnet-lite0:gem")


def test_the_second_round_finds_what_became_ready_behind_the_walk(
    dataset: Dataset, add: Add
) -> None:
    late, *_ = add(4)
    Image.objects.filter(pk=late.pk).update(state=ImageState.PROCESSING)
    index = lifecycle.create_index(dataset, OTHER)
    chunk = build.claim(index)
    assert chunk is not None
    assert chunk.first == late.pk + 1
    Image.objects.filter(pk=late.pk).update(state=ImageState.READY)
    build.release(chunk)
    assert late.pk in held(built(index))


def test_a_batch_that_began_before_the_index_owes_it_its_pictures(
    dataset: Dataset, add: Add
) -> None:
    ready, going = add(2)
    Image.objects.filter(pk=going.pk).update(state=ImageState.RECEIVED)
    claimed = claims.claim(10)
    index = built(lifecycle.create_index(dataset, OTHER))
    assert held(index) == [ready.pk]
    claims.finish(claimed, [dataset.active_index.pk])
    advance()
    assert held(index) == [ready.pk, going.pk]
    assert not IndexChunk.objects.exists()


def test_new_pictures_do_not_wait_for_a_model_that_nobody_has_run(
    dataset: Dataset, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready, new = add(2)
    index = lifecycle.create_index(dataset, OTHER)
    Image.objects.filter(pk=new.pk).update(state=ImageState.RECEIVED)

    def loaded(name: str, *args: str) -> PipelineEngine:
        assert name != OTHER, "measuring it takes minutes"
        return engine_for(name, *args)

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "engine_for", loaded)
        ingest.process()
    new.refresh_from_db()
    assert new.state == ImageState.READY
    assert held(built(index)) == [ready.pk, new.pk]


def test_a_lease_is_prolonged_while_a_slow_model_computes(
    dataset: Dataset, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image,) = add(1)
    Image.objects.filter(pk=image.pk).update(state=ImageState.RECEIVED)
    monkeypatch.setattr(lease_renewal, "EVERY_SECONDS", 0.05)
    prolonged = threading.Event()
    monkeypatch.setattr(claims, "renew", lambda images: prolonged.set())
    active = dataset.active_index
    engine = engine_for(active.pipeline, active.fingerprint)
    embed = engine.pipeline.embed
    monkeypatch.setattr(
        type(engine.pipeline), "embed", lambda _, pictures: (prolonged.wait(20), embed(pictures))[1]
    )
    ingest.process()
    assert prolonged.is_set()
    image.refresh_from_db()
    assert image.state == ImageState.READY


def test_a_batch_into_an_index_that_was_retired_meanwhile_leaves_nothing(
    dataset: Dataset, add: Add, store: VectorStore
) -> None:
    (image,) = add(1)
    index = built(lifecycle.create_index(dataset, OTHER))
    Image.objects.filter(pk=image.pk).update(state=ImageState.RECEIVED)
    claimed = claims.claim(10)
    lifecycle.retire(index)
    cleanup.forget_vectors()
    store.ensure_collection(index.collection, index.dimension)  # as the batch's upsert does
    claims.finish(claimed, [dataset.active_index.pk, index.pk])
    cleanup.forget_vectors()
    assert index.collection not in store.collections()


def test_stretches_are_one_workers_until_its_lease_ends(
    dataset: Dataset, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_STRETCH", (2, 2))
    add(4)
    index = lifecycle.create_index(dataset, OTHER)
    one, other = build.claim(index), build.claim(index)
    assert one is not None
    assert other is not None
    assert one.last < other.first
    assert build.claim(index) is None  # nobody says it is ready while these are held
    assert built_or_not(index) == IndexState.BUILDING
    IndexChunk.objects.filter(pk=one.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    again = build.claim(index)
    assert again is not None
    assert again.pk == one.pk
    assert again.claim != one.claim
    assert not build.step(index, one, one.last, 2, 2, 1.0)  # back from the dead: too late
    build.finish(one)
    assert IndexChunk.objects.filter(pk=one.pk).exists()


def built_or_not(index: Index) -> str:
    index.refresh_from_db()
    return index.state


def test_a_picture_at_which_workers_die_is_left_out(dataset: Dataset, add: Add) -> None:
    killer, *others = add(3)
    index = lifecycle.create_index(dataset, OTHER)
    for _ in range(build.MAX_ATTEMPTS):
        chunk = build.claim(index)
        assert chunk is not None
        IndexChunk.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert held(built(index)) == [image.pk for image in others]
    assert IndexGap.objects.get().image_id == killer.pk
    assert IndexGap.objects.get().error_code == "worker_died"


def test_what_cannot_be_embedded_is_a_gap_that_can_be_tried_again(
    dataset: Dataset, add: Add
) -> None:
    image, other = add(2)
    name = f"originals/{image.sha256[:2]}/{image.sha256[2:4]}/{image.sha256}"
    with default_storage.open(name) as file:
        content = file.read()
    default_storage.delete(name)
    index = built(lifecycle.create_index(dataset, OTHER))
    assert (index.state, held(index)) == (IndexState.READY, [other.pk])
    assert IndexGap.objects.get().error_code == "original_missing"
    with default_storage.open(name, "wb") as file:
        file.write(content)
    lifecycle.try_again(index)
    advance()
    assert held(index) == [image.pk, other.pk]
    assert not IndexGap.objects.exists()


@pytest.mark.slow
def test_while_milvus_is_down_it_waits(dataset: Dataset, add: Add, milvus_server: Launcher) -> None:
    images = add(3)
    index = lifecycle.create_index(dataset, OTHER)
    milvus_server.kill()
    try:
        advance()
        assert built_or_not(index) == IndexState.BUILDING
    finally:
        milvus_server.start()
    assert held(built(index)) == [image.pk for image in images]


def test_an_index_whose_pipeline_is_gone_fails_and_can_be_tried_again(
    dataset: Dataset, add: Add
) -> None:
    images = add(2)
    index = lifecycle.create_index(dataset, OTHER)
    fingerprint = index.fingerprint
    Index.objects.filter(pk=index.pk).update(fingerprint="0" * 64)
    failed = built(index)
    assert (failed.state, failed.error_code) == (IndexState.FAILED, "pipeline_unavailable")
    Index.objects.filter(pk=index.pk).update(fingerprint=fingerprint)
    late = add(1, start=2)
    lifecycle.try_again(failed)
    assert held(built(failed)) == [image.pk for image in [*images, *late]]


def test_deleted_while_it_was_embedded_leaves_no_vector(dataset: Dataset, add: Add) -> None:
    image, other = add(2)
    index = built(lifecycle.create_index(dataset, OTHER))
    keys = [image.pk, other.pk]
    image.delete()
    build.forget_strays(index, keys)
    assert [row.image_id for row in VectorCleanup.objects.all()] == keys[:1]


def test_activate_roll_back_retire(dataset: Dataset, add: Add, store: VectorStore) -> None:
    add(2)
    first = dataset.active_index
    with pytest.raises(ServiceError) as nothing:
        lifecycle.rollback(dataset)
    assert nothing.value.code == "nothing_to_roll_back"
    second = lifecycle.create_index(dataset, OTHER)
    with pytest.raises(ServiceError) as refused:
        lifecycle.activate(second)
    assert refused.value.code == "wrong_index_state"
    lifecycle.activate(built(second))
    assert dataset.active_index == second
    with pytest.raises(ServiceError):
        lifecycle.retire(second)
    assert lifecycle.rollback(dataset) == first
    assert dataset.active_index == first
    assert lifecycle.rollback(dataset) == second
    lifecycle.retire(first)
    cleanup.forget_vectors()
    assert store.collections() == [second.collection]
    with pytest.raises(ServiceError):
        lifecycle.rollback(dataset)


def test_new_pictures_owe_nothing_to_retired_indexes(dataset: Dataset, add: Add) -> None:
    index = lifecycle.create_index(dataset, OTHER)
    lifecycle.retire(index)
    assert [one.pk for one in lifecycle.live([dataset.pk])[dataset.pk]] == [dataset.active_index.pk]


def test_a_model_that_loads_slowly_leaves_the_pictures_their_time(
    dataset: Dataset, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*args: Any) -> Any:
        time.sleep(0.2)
        return engine_for(*args)

    (image,) = add(1, vectors=False)
    lifecycle.owe(dataset.active_index, [image.pk])
    engine_for(dataset.active_index.pipeline, dataset.active_index.fingerprint)
    monkeypatch.setattr(indexing, "engine_for", slow)
    monkeypatch.setattr(indexing, "BUDGET_SECONDS", 0.1)
    advance()
    assert held(dataset.active_index) == [image.pk]


def test_calls_do_not_pile_up(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr("searchapp.infra.queue.waiting_of", lambda *_: len(sent))
    monkeypatch.setattr("searchapp.infra.queue.send", sent.append)
    for _ in range(5):
        lifecycle.call_workers()
    assert sent == [lifecycle.TASK] * 2
