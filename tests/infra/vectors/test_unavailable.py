"""A server that is down, comes back, or hangs."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from pytest_django.fixtures import Settings

from harness.installation import wait_until
from searchapp.infra.vectors.errors import VectorsUnavailable
from searchapp.infra.vectors.store import VectorStore, get_store
from tests.infra.vectors.conftest import Launcher, random_vectors

NAME = "lookalike_1_0123456789ab"
VECTOR = random_vectors(1, 16)[0]

CALLS: dict[str, Callable[[VectorStore], Any]] = {
    "ensure_collection": lambda store: store.ensure_collection(NAME, 16),
    "upsert": lambda store: store.upsert(NAME, [1], VECTOR[None]),
    "delete": lambda store: store.delete(NAME, [2]),
    "drop": lambda store: store.drop("lookalike_2_0123456789ab"),
    "search": lambda store: store.search(NAME, VECTOR, 3),
    "fetch": lambda store: store.fetch(NAME, [1]),
    "count": lambda store: store.count(NAME),
    "ids": lambda store: list(store.ids(NAME)),
    "collections": lambda store: store.collections(),
    "ping": lambda store: store.ping(),
}


@pytest.mark.slow
def test_down_raises_and_back_recovers_with_the_same_store(
    server: Launcher, store: VectorStore
) -> None:
    for call in CALLS.values():
        call(store)
    server.kill()
    for call in CALLS.values():
        with pytest.raises(VectorsUnavailable, match="cannot be reached"):
            call(store)
    server.start()
    assert [hit.image_id for hit in store.search(NAME, VECTOR, 3)] == [1]
    for call in CALLS.values():
        call(store)


def test_a_store_may_be_made_before_its_server(launcher: Launcher) -> None:
    store = VectorStore(launcher.uri)
    with pytest.raises(VectorsUnavailable):
        store.ping()
    launcher.start()
    store.ping()
    store.close()
    store.ping()
    store.close()


@pytest.mark.slow
def test_a_server_that_hangs_is_unavailable(server: Launcher, store: VectorStore) -> None:
    CALLS["ensure_collection"](store)
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    halted = psutil.Process(server.process.pid)
    wait_until(lambda: halted.status() == psutil.STATUS_STOPPED, "the server does not halt")
    try:
        with pytest.raises(VectorsUnavailable):
            store.search(NAME, VECTOR, 3, timeout=0.3)
        fresh = VectorStore(server.uri)
        with pytest.raises(VectorsUnavailable):
            fresh.ping()
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert store.search(NAME, VECTOR, 3) == []


def test_an_unloaded_collection_is_loaded_again(
    shared_server: Launcher, shared_store: VectorStore
) -> None:
    from pymilvus import MilvusClient

    for name in ("ensure_collection", "upsert"):
        CALLS[name](shared_store)
    client = MilvusClient(shared_server.uri, dedicated=True)
    params = client.prepare_index_params()
    params.add_index("embedding", index_type="FLAT", metric_type="COSINE")
    client.create_index(NAME, params)
    client.release_collection(NAME)
    client.close()
    assert [hit.image_id for hit in shared_store.search(NAME, VECTOR, 3)] == [1]


def test_each_process_has_one_store(settings: Settings, launcher: Launcher) -> None:
    settings.MILVUS_URI = launcher.uri
    settings.MILVUS_TOKEN = ""
    mine = get_store()
    assert get_store() is mine

    def child(answers: Any) -> None:
        answers.put(get_store() is mine)

    forked = multiprocessing.get_context("fork")
    answers = forked.Queue()
    process = forked.Process(target=child, args=(answers,))
    process.start()
    assert answers.get(timeout=30) is False
    process.join()

    settings.MILVUS_URI = "unix:/nowhere/milvus.sock"
    assert get_store() is not mine
