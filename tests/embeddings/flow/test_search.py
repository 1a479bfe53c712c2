"""Search is exact: the same as looking at every vector, whatever the vectors are."""

import math
import pickle
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from embeddings.errors import InputError, UnknownName
from embeddings.flow.collection import vector_search
from embeddings.flow.collection.vector_search import METRICS, Hits, Searcher


def score(metric: str, one: Sequence[float], other: Sequence[float]) -> float:
    """The score of two vectors, as its definition says."""
    if metric == "l2":
        return math.dist(one, other)
    product = math.fsum(a * b for a, b in zip(one, other, strict=True))
    if metric == "ip":
        return product
    lengths = math.hypot(*one) * math.hypot(*other)
    return max(-1.0, min(1.0, product / lengths)) if lengths else 0.0


def check(metric: str, data: NDArray[Any], query: NDArray[Any], hits: Hits, top_k: int) -> None:
    """Hits are right where scores are, no other is better, and ties are in order."""
    all_scores = [score(metric, row, query.tolist()) for row in data.tolist()]
    expected = [all_scores[place] for place in hits.ids]
    assert len(set(hits.ids)) == len(hits) == min(top_k, len(data))
    assert hits.scores.dtype == np.float32
    assert np.allclose(hits.scores, expected, rtol=3e-7, atol=1e-35)
    sign = 1 if metric == "l2" else -1
    pairs = [(sign * value, place) for place, value in hits]
    assert pairs == sorted(pairs)
    left = [value for place, value in enumerate(all_scores) if place not in hits.ids]
    if left:
        best = min(sign * value for value in left)
        assert best >= pairs[-1][0] - abs(best) * 3e-7 - 1e-35


# Few values, so that there are ties; many magnitudes, so that rounding shows.
NUMBERS = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 0.5, 3.0]),
    st.floats(-1e4, 1e4, width=32).filter(lambda value: abs(value) > 1e-10),
)


@st.composite
def problems(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    dimension = draw(st.integers(1, 6))
    rows = draw(st.integers(1, 30))
    data = draw(arrays.arrays(np.float32, (rows, dimension), elements=NUMBERS))
    queries = draw(arrays.arrays(np.float32, (3, dimension), elements=NUMBERS))
    data = data + np.float32(draw(st.sampled_from([0, 1000])))  # far away and close together
    queries[0] = data[draw(st.integers(0, rows - 1))]
    return data, queries


@given(problem=problems(), metric=st.sampled_from(METRICS), top_k=st.integers(1, 8))
def test_it_finds_what_a_loop_finds(
    problem: tuple[NDArray[np.float32], NDArray[np.float32]], metric: str, top_k: int
) -> None:
    data, queries = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vector_search, "_BLOCK_BYTES", 4 * data.shape[1] * 4)  # four rows
        patch.setattr(vector_search, "_QUERIES", 2)
        many = Searcher(data, metric, top_k).batch(queries)
    for query, hits in zip(queries, many, strict=True):
        check(metric, data, query, hits, top_k)
        alone = Searcher(data, metric, top_k)(query)
        assert alone.ids == hits.ids
        assert np.array_equal(alone.scores, hits.scores)


@pytest.mark.parametrize("metric", METRICS)
def test_many_vectors_and_near_copies(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_search, "_BLOCK_BYTES", 1_000_000)
    rng = np.random.default_rng(0)
    data = rng.standard_normal((3000, 200), dtype=np.float32)
    data /= np.linalg.norm(data, axis=1, keepdims=True)
    # So near to each other that float32 products cannot tell them apart.
    data[1000:1020] = data[10] + rng.standard_normal((20, 200), dtype=np.float32) * 1e-8
    data[2500] = data[10]
    hits = Searcher(data, metric, 30)(data[10])
    check(metric, data, data[10], hits, 30)
    assert {10, 2500, *range(1000, 1020)} <= set(hits.ids)


@pytest.mark.parametrize("metric", METRICS)
def test_equal_rows_are_equal_wherever_they_are(metric: str) -> None:
    row = np.random.default_rng(1).standard_normal(37).astype(np.float32)
    hits = Searcher(np.tile(row, (10_001, 1)), metric, 10_001)(row * np.float32(1.1))
    assert hits.ids == tuple(range(10_001))
    assert len(set(hits.scores.tolist())) == 1


def test_scores_of_the_metrics() -> None:
    data = np.array([[3, 4], [0, 2], [-1, 0]], np.float32)
    query = np.array([0, 1], np.float32)
    assert list(Searcher(data)(query)) == [(1, 1.0), (0, pytest.approx(0.8)), (2, 0.0)]
    assert list(Searcher(data, "ip")(query)) == [(0, 4.0), (1, 2.0), (2, 0.0)]
    assert list(Searcher(data, "l2", 2)(query)) == [(1, 1.0), (2, pytest.approx(2**0.5))]


def test_ids_and_kinds_of_data(tmp_path: Path) -> None:
    data = np.eye(3, dtype=np.float32)
    query = [0, 1, 0.5]
    expected = ("b", "c", "a")
    assert Searcher(data, ids=["a", "b", "c"])(query).ids == expected
    assert Searcher(data, ids=np.array(["a", "b", "c"]))(query).ids == expected
    bundle = SimpleNamespace(vectors=data, ids=["a", "b", "c"])
    assert Searcher(bundle)(query).ids == expected
    assert Searcher(bundle, ids=[1, 2, 3])(query).ids == (2, 3, 1)
    for same in (list(data), data.tolist(), data.astype(np.float64), data.astype(np.int8)):
        assert Searcher(same)(query).ids == (1, 2, 0)
    np.save(tmp_path / "a.npy", data)
    assert Searcher(np.load(tmp_path / "a.npy", mmap_mode="r"))(query).ids == (1, 2, 0)


def test_a_searcher_can_be_pickled() -> None:
    searcher = Searcher(np.eye(3, dtype=np.float32), "l2", 2, ids="abc")
    again = pickle.loads(pickle.dumps(searcher))
    hits = again([1, 0, 0])
    assert hits.ids == searcher([1, 0, 0]).ids == ("a", "b")
    assert pickle.loads(pickle.dumps(hits)).ids == hits.ids
    assert repr(hits) == "Hits('a': 0, 'b': 1.414)"
    assert "l2, 3 vectors of 3, top 2" in repr(again)


def test_zero_vectors_have_no_direction() -> None:
    data = np.array([[0, 0], [-1, 0], [1e-30, 0], [1, 0]], np.float32)
    assert list(Searcher(data)([2, 0])) == [(3, 1.0), (0, 0.0), (2, 0.0), (1, -1.0)]
    assert list(Searcher(data)([0, 0])) == [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.0)]
    assert Searcher(data, "l2", 1)([0, 0]).ids == (0,)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [1e-17, 1e-10, 1e10, 1e17])
def test_small_and_large_vectors(metric: str, scale: float) -> None:
    rng = np.random.default_rng(2)
    data = (rng.standard_normal((200, 8)) * scale).astype(np.float32)
    query = (rng.standard_normal(8) * scale).astype(np.float32)
    check(metric, data, query, Searcher(data, metric, 5)(query), 5)


def test_fewer_vectors_than_asked_for_and_none() -> None:
    assert len(Searcher(np.eye(2, dtype=np.float32), top_k=99)([1, 0])) == 2
    nothing: list[Any] = [np.empty((0, 4), np.float32), [], np.empty(0)]
    for empty in nothing:
        hits = Searcher(empty)(np.ones(4))
        assert (len(hits), hits.scores.dtype) == (0, np.dtype(np.float32))
    assert Searcher(np.eye(2, dtype=np.float32)).batch([]) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.eye(2), "cosine", 0), "top_k must be 1 or more, not 0"),
        ((np.eye(2), "cosine", True), "top_k"),
        ((np.eye(2), "cosine", 2.0), "top_k"),
        ((np.eye(2), "cosine", 1, ["a"]), "1 ids for 2 vectors"),
        ((np.ones(3),), r"\(N, D\); not float64 of shape \(3,\)"),
        ((np.array([["a"]]),), "real numbers"),
        ((np.ones((2, 2), complex),), "real numbers"),
        (([np.ones(2), np.ones(3)],), "Row 2 has the shape"),
        ((np.array([[1, 2], [np.nan, 1]]),), "Row 2 holds NaN"),
        ((np.array([[1, 2], [1, np.inf]]),), "Row 2 holds NaN or infinity"),
        ((np.array([[1e19, 2]]),), "Row 1 is longer than 1e18"),
        ((np.array([[1e300, 2]]),), "Row 1 holds NaN or infinity"),
    ],
)
def test_data_that_cannot_be_searched(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Searcher(*arguments)


def test_queries_that_cannot_be_searched_for() -> None:
    searcher = Searcher(np.eye(3, dtype=np.float32))
    for query, message in (
        ([1, 0], "data has 3 dimensions, but the query 2"),
        ([1, 0, math.nan], "Query 1 holds NaN"),
        ([[1, 0, 0]], r"not of shape \(1, 3\); see batch"),
        (1, r"not of shape \(\)"),
        (["a", "b", "c"], "real numbers"),
    ):
        with pytest.raises(InputError, match=message):
            searcher(query)
    with pytest.raises(InputError, match="Query 2 holds NaN"):
        searcher.batch([[1, 0, 0], [0, math.inf, 0]])
    with pytest.raises(UnknownName, match="metric named 'cosin'; did you mean 'cosine'"):
        Searcher(np.eye(3), "cosin")
