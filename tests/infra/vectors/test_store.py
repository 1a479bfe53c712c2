"""What the store promises, on a real server."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from harness.installation import ROOT
from searchapp.infra.vectors.collection_names import collection_name
from searchapp.infra.vectors.errors import (
    CollectionMissing,
    DimensionMismatch,
    InvalidVectors,
    VectorsError,
)
from searchapp.infra.vectors.store import VectorStore
from tests.infra.vectors.conftest import Launcher, random_vectors

NAME = "lookalike_1_0123456789ab"
DIMENSION = 48


def cosines(rows: dict[int, np.ndarray], query: np.ndarray) -> dict[int, float]:
    vectors = np.stack(list(rows.values())).astype(np.float64)
    scores = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    return dict(zip(rows, map(float, scores), strict=True))


def assert_exact(store: VectorStore, rows: dict[int, np.ndarray], seed: int) -> None:
    """Compare everything that can be read with `rows`, {id: vector}, counted out by numpy."""
    assert store.count(NAME) == len(rows)
    assert list(store.ids(NAME)) == sorted(rows)
    for query in random_vectors(8, DIMENSION, seed):
        expected = cosines(rows, query)
        hits = store.search(NAME, query, 200)
        assert len({hit.image_id for hit in hits}) == 200
        # Neighbours closer than float32 can tell may change places, so scores are compared.
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)
        np.testing.assert_allclose(scores, sorted(expected.values())[:-201:-1], atol=1e-6)
        np.testing.assert_allclose(scores, [expected[hit.image_id] for hit in hits], atol=1e-6)
    fetched = store.fetch(NAME, list(rows))
    assert fetched.keys() == rows.keys()
    for image_id, vector in fetched.items():
        assert vector.dtype == np.float32
        np.testing.assert_array_equal(vector, rows[image_id])


@pytest.mark.slow
def test_search_is_exact_for_open_sealed_and_changed_rows(
    server: Launcher, store: VectorStore
) -> None:
    store.ensure_collection(NAME, DIMENSION)
    vectors = random_vectors(1500, DIMENSION)
    rows = dict(enumerate(vectors))
    store.upsert(NAME, range(1500), vectors)
    assert_exact(store, rows, seed=1)

    # Stopping seals everything.
    assert server.stop()[0] == 0
    server.start()
    assert_exact(store, rows, seed=2)

    # Now some sealed rows are replaced, some deleted, some new ones are open.
    changed = random_vectors(400, DIMENSION, seed=3)
    store.upsert(NAME, range(1300, 1700), changed)
    rows.update(zip(range(1300, 1700), changed, strict=True))
    store.delete(NAME, range(0, 300))
    store.delete(NAME, [1650, 1651])
    for gone in (*range(300), 1650, 1651):
        del rows[gone]
    assert_exact(store, rows, seed=4)

    # A deleted id may come back; all of this survives a kill.
    store.upsert(NAME, [7], changed[:1])
    rows[7] = changed[0]
    server.kill()
    server.start()
    assert_exact(store, rows, seed=5)
    assert server.stop()[0] == 0
    server.start()
    assert_exact(store, rows, seed=6)


def test_k_means_k_also_under_a_filter(shared_store: VectorStore) -> None:
    shared_store.ensure_collection(NAME, DIMENSION)
    vectors = random_vectors(600, DIMENSION)
    colours = [{"colour": "red" if number % 6 == 0 else "blue"} for number in range(600)]
    shared_store.upsert(NAME, range(600), vectors, colours)
    query = vectors[5]

    assert len(shared_store.search(NAME, query, 300)) == 300
    assert len(shared_store.search(NAME, query, 1000)) == 600
    red = shared_store.search(NAME, query, 70, filter='colour == "red"')
    expected = cosines({number: vectors[number] for number in range(0, 600, 6)}, query)
    assert [hit.image_id for hit in red] == sorted(expected, key=expected.__getitem__)[:-71:-1]
    assert len(shared_store.search(NAME, query, 200, filter='colour == "red"')) == 100
    assert {
        hit.image_id for hit in shared_store.search(NAME, query, 9, filter="image_id in [3, 4]")
    } == {
        3,
        4,
    }
    assert shared_store.search(NAME, query, 9, filter='colour == "green"') == []


@pytest.mark.slow
def test_a_filter_reads_sealed_rows_too(server: Launcher, store: VectorStore) -> None:
    store.ensure_collection(NAME, DIMENSION)
    vectors = random_vectors(60, DIMENSION)
    store.upsert(NAME, range(60), vectors, [{"shelf": number % 3} for number in range(60)])
    server.stop()
    server.start()
    store.upsert(NAME, [0], vectors[:1], [{"shelf": 1}])

    image_ids = {hit.image_id for hit in store.search(NAME, vectors[0], 100, filter="shelf == 0")}
    assert image_ids == set(range(3, 60, 3))


def test_a_filter_that_is_no_expression_is_an_error_in_words(shared_store: VectorStore) -> None:
    shared_store.ensure_collection(NAME, DIMENSION)
    shared_store.upsert(NAME, [1], random_vectors(1, DIMENSION))
    with pytest.raises(VectorsError, match="refused the request"):
        shared_store.search(NAME, random_vectors(1, DIMENSION)[0], 5, filter="colour ==")


def test_a_row_is_overwritten_whole(shared_store: VectorStore) -> None:
    shared_store.ensure_collection(NAME, DIMENSION)
    first, second = random_vectors(2, DIMENSION)
    shared_store.upsert(NAME, [9], first[None], [{"colour": "red"}])
    shared_store.upsert(NAME, [9], second[None])
    assert shared_store.count(NAME) == 1
    hits = shared_store.search(NAME, second, 5)
    assert [hit.image_id for hit in hits] == [9]
    assert hits[0].score == pytest.approx(1.0, abs=1e-5)
    assert shared_store.search(NAME, second, 5, filter='colour == "red"') == []


def test_the_last_of_equal_ids_in_one_batch_stays(shared_store: VectorStore) -> None:
    shared_store.ensure_collection(NAME, DIMENSION)
    vectors = random_vectors(3, DIMENSION)
    shared_store.upsert(NAME, [4, 5, 4], vectors)
    assert shared_store.count(NAME) == 2
    np.testing.assert_array_equal(shared_store.fetch(NAME, [4])[4], vectors[2])


def test_a_missing_collection_is_empty(shared_store: VectorStore) -> None:
    vector = random_vectors(1, DIMENSION)
    assert shared_store.search(NAME, vector[0], 5) == []
    assert shared_store.fetch(NAME, [1]) == {}
    assert shared_store.count(NAME) == 0
    assert list(shared_store.ids(NAME)) == []
    shared_store.delete(NAME, [1])
    shared_store.drop(NAME)
    with pytest.raises(CollectionMissing):
        shared_store.upsert(NAME, [1], vector)


def test_an_empty_collection_is_empty(shared_store: VectorStore) -> None:
    shared_store.ensure_collection(NAME, DIMENSION)
    assert shared_store.search(NAME, random_vectors(1, DIMENSION)[0], 5) == []
    assert shared_store.fetch(NAME, [1]) == {}
    assert shared_store.fetch(NAME, []) == {}
    assert list(shared_store.ids(NAME)) == []
    shared_store.upsert(NAME, [], np.empty((0, DIMENSION), np.float32))
    assert shared_store.count(NAME) == 0


def test_drop_removes_one_collection_and_its_name_can_be_used_again(
    shared_store: VectorStore,
) -> None:
    other = collection_name(2, "f" * 64)
    shared_store.ensure_collection(NAME, DIMENSION)
    shared_store.ensure_collection(other, DIMENSION)
    shared_store.upsert(NAME, [1, 2], random_vectors(2, DIMENSION))
    shared_store.upsert(other, [3], random_vectors(1, DIMENSION))
    assert shared_store.collections() == sorted([NAME, other])

    shared_store.drop(NAME)
    assert shared_store.collections() == [other]
    shared_store.ensure_collection(NAME, 16)
    assert shared_store.search(NAME, random_vectors(1, 16)[0], 5) == []
    shared_store.upsert(NAME, [8], random_vectors(1, 16))
    assert [hit.image_id for hit in shared_store.search(NAME, random_vectors(1, 16)[0], 5)] == [8]
    assert list(shared_store.ids(other)) == [3]


def test_ids_come_in_pages_without_gap_or_repeat(
    shared_store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searchapp.infra.vectors.store.IDS_PER_PAGE", 100)
    shared_store.ensure_collection(NAME, DIMENSION)
    ids = [-5, *range(10, 1000, 3), 2**62]
    shared_store.upsert(NAME, ids, random_vectors(len(ids), DIMENSION))
    assert list(shared_store.ids(NAME)) == ids


def test_a_second_dimension_is_refused(shared_store: VectorStore) -> None:
    shared_store.ensure_collection(NAME, DIMENSION)
    shared_store.ensure_collection(NAME, DIMENSION)
    with pytest.raises(DimensionMismatch, match="48 dimensions, not 64"):
        shared_store.ensure_collection(NAME, 64)


@pytest.mark.parametrize(
    ("ids", "vectors", "sentence"),
    [
        ([1, 2], np.ones((1, DIMENSION)), "2 rows"),
        ([1], np.ones(DIMENSION), "shape"),
        ([1], np.full((1, DIMENSION), np.nan), "not finite"),
        ([1, 2], np.eye(1, DIMENSION, dtype=np.float32).repeat(2, 0) * [[1], [0]], "all zeros"),
    ],
)
def test_bad_vectors_are_refused_in_words(
    shared_store: VectorStore, ids: list[int], vectors: np.ndarray, sentence: str
) -> None:
    shared_store.ensure_collection(NAME, DIMENSION)
    with pytest.raises(InvalidVectors, match=sentence):
        shared_store.upsert(NAME, ids, vectors)
    assert shared_store.count(NAME) == 0
    with pytest.raises(InvalidVectors, match="all zeros"):
        shared_store.search(NAME, np.zeros(DIMENSION, np.float32), 3)


def test_vectors_of_another_dimension_are_refused(shared_store: VectorStore) -> None:
    shared_store.ensure_collection(NAME, DIMENSION)
    shared_store.upsert(NAME, [1], random_vectors(1, DIMENSION))
    with pytest.raises(VectorsError):
        shared_store.upsert(NAME, [2], random_vectors(1, DIMENSION + 1))
    with pytest.raises(VectorsError):
        shared_store.search(NAME, random_vectors(1, DIMENSION + 1)[0], 3)
    assert shared_store.count(NAME) == 1


def test_many_clients_may_ensure_one_collection_at_once(
    shared_server: Launcher, shared_store: VectorStore
) -> None:
    stores = [VectorStore(shared_server.uri) for _ in range(6)]
    barrier = threading.Barrier(len(stores))

    def ensure(store: VectorStore) -> None:
        barrier.wait()
        store.ensure_collection(NAME, DIMENSION)
        store.upsert(NAME, [stores.index(store)], random_vectors(1, DIMENSION))

    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(ensure, stores))
    assert sorted(stores[0].ids(NAME)) == list(range(6))
    for store in stores:
        store.close()


def test_what_was_acknowledged_is_found_at_every_moment(shared_store: VectorStore) -> None:
    """Sealing and compaction go on behind the searches; no row may blink."""
    shared_store.ensure_collection(NAME, DIMENSION)
    vectors = random_vectors(6000, DIMENSION)
    written = 0

    def write() -> None:
        nonlocal written
        for start in range(0, len(vectors), 50):
            shared_store.upsert(NAME, range(start, start + 50), vectors[start : start + 50])
            written = start + 50

    chooser = np.random.default_rng(1)
    searches = 0
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not writing.done():
            if known := written:
                # The newest batch and any older one.
                for image_id in (known - 1, int(chooser.integers(known))):
                    hit = shared_store.search(NAME, vectors[image_id], 1)[0]
                    assert hit.image_id == image_id
                    assert image_id in shared_store.fetch(NAME, [image_id])
                    searches += 1
                assert shared_store.count(NAME) >= known
        writing.result()
    assert searches
    assert list(shared_store.ids(NAME)) == list(range(6000))


def test_importing_the_store_brings_in_nothing_heavy() -> None:
    code = (
        "import sys, searchapp.infra.vectors.store\n"
        "heavy = {'pymilvus', 'grpc', 'milvus_lite', 'faiss', 'torch', 'cv2', 'django'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_who_else_asks_changes_no_score(shared_store: VectorStore) -> None:
    """Pages go on from the score of their last match: it must be the same each time."""
    name = f"{NAME}_company"
    shared_store.ensure_collection(name, DIMENSION)
    vectors = random_vectors(3000, DIMENSION)
    for start in range(0, 3000, 1000):  # sealed ones and open ones
        part = range(start, start + 1000)
        shared_store.upsert(name, list(part), vectors[part.start : part.stop])
    queries = random_vectors(24, DIMENSION)
    alone = [shared_store.search(name, query, 30) for query in queries]
    with ThreadPoolExecutor(12) as threads:
        for _ in range(3):
            together = threads.map(lambda query: shared_store.search(name, query, 30), queries)
            assert list(together) == alone
    shared_store.drop(name)
