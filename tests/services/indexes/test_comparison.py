"""Two indexes compared by vectors whose neighbours are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from searchapp.infra.vectors.store import VectorStore
from searchapp.models import Dataset, Image, ImageState, Index, IndexState
from searchapp.services.errors import ServiceError
from searchapp.services.indexes import comparison

DIMENSION = 8


@pytest.fixture
def pair(dataset: Dataset) -> tuple[Index, Index]:
    indexes = [
        Index.objects.create(
            dataset=dataset, state=IndexState.READY, pipeline="p", recipe={},
            fingerprint=f"{letter}" * 64, dimension=DIMENSION,
        )
        for letter in "ab"
    ]  # fmt: skip
    return indexes[0], indexes[1]


@pytest.fixture
def rows(dataset: Dataset) -> Callable[[int], list[Image]]:
    def make(number: int) -> list[Image]:
        return Image.objects.bulk_create(
            Image(
                dataset=dataset, content_key=f"{n:064x}", sha256=f"{n:064x}", name=f"{n}",
                bytes=1, state=ImageState.READY,
            )
            for n in range(number)
        )  # fmt: skip

    return make


def _vectors(number: int, seed: int) -> NDArray[np.float32]:
    matrix = np.random.default_rng(seed).normal(size=(number, DIMENSION))
    return np.asarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), dtype=np.float32)


def _fill(
    store: VectorStore, index: Index, images: list[Image], vectors: NDArray[np.float32]
) -> None:
    store.ensure_collection(index.collection, DIMENSION)
    store.upsert(index.collection, [image.pk for image in images], vectors)


def test_equal_vectors_overlap_wholly_and_find_themselves(
    pair: tuple[Index, Index], rows: Callable[[int], list[Image]], store: VectorStore
) -> None:
    images = rows(80)
    for index in pair:
        _fill(store, index, images, _vectors(80, 1))
    result = comparison.compare(*pair)
    assert (result.overlap, result.sampled) == (1.0, comparison.MAX_SAMPLED)
    assert result.a.found_itself == result.b.found_itself == result.sampled
    row = result.rows[0]
    assert row.shared == 10
    assert row.image not in [one.image for one in row.a]


def test_overlap_is_what_a_plain_count_says(
    pair: tuple[Index, Index], rows: Callable[[int], list[Image]], store: VectorStore
) -> None:
    images = rows(40)
    vector_sets = [_vectors(40, 2), _vectors(40, 3)]
    for index, vectors in zip(pair, vector_sets, strict=True):
        _fill(store, index, images, vectors)
    shares = []
    for place in range(40):
        firsts = []
        for vectors in vector_sets:
            order = np.argsort(-(vectors @ vectors[place]))
            firsts.append({int(one) for one in order[order != place][:10]})
        shares.append(len(firsts[0] & firsts[1]) / 10)
    result = comparison.compare(*pair)
    assert result.overlap == pytest.approx(np.mean(shares), abs=1e-4)


def test_a_picture_that_is_not_in_both_is_not_sampled(
    pair: tuple[Index, Index], rows: Callable[[int], list[Image]], store: VectorStore
) -> None:
    images = rows(12)
    _fill(store, pair[0], images, _vectors(12, 4))
    _fill(store, pair[1], images[:9], _vectors(9, 4))
    result = comparison.compare(*pair)
    assert result.sampled == 9
    assert result.b.found_itself == 9


def test_the_same_seed_samples_the_same(
    pair: tuple[Index, Index], rows: Callable[[int], list[Image]], dataset: Dataset
) -> None:
    rows(300)
    one, same, other = (
        [image.pk for image in comparison.sample(dataset.pk, seed)] for seed in (1, 1, 2)
    )
    assert one == same != other
    assert len(set(one)) == 50


def test_one_picture_has_nothing_to_share(
    pair: tuple[Index, Index], rows: Callable[[int], list[Image]], store: VectorStore
) -> None:
    images = rows(1)
    for index in pair:
        _fill(store, index, images, _vectors(1, 1))
    assert comparison.compare(*pair).overlap is None


def test_nothing_at_all_can_be_compared(pair: tuple[Index, Index]) -> None:
    result = comparison.compare(*pair)
    assert (result.sampled, result.overlap, result.rows) == (0, None, [])


def test_what_cannot_be_compared_is_refused(pair: tuple[Index, Index]) -> None:
    with pytest.raises(ServiceError) as same:
        comparison.compare(pair[0], pair[0])
    assert same.value.code == "not_comparable"
    pair[1].state = IndexState.BUILDING
    with pytest.raises(ServiceError) as building:
        comparison.compare(*pair)
    assert building.value.code == "wrong_index_state"
