"""What the vector server remembers of its answers, and when it forgets."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest

from searchapp.infra.vectors.lite import answer_cache
from searchapp.infra.vectors.lite.answer_cache import AnswerCache, Hits
from searchapp.infra.vectors.store import VectorStore
from tests.infra.vectors.conftest import random_vectors

NAME, OTHER = "lookalike_1_0123456789ab", "lookalike_2_0123456789ab"
DIMENSION = 48


class Counting:
    """A search that finds something else each time."""

    def __init__(self) -> None:
        self._numbers: Iterator[int] = count()

    def __call__(self) -> Hits:
        return [(next(self._numbers), 1.0)]


def test_the_same_is_answered_once_until_its_collection_changes() -> None:
    answers, search = AnswerCache(), Counting()

    def ask(collection: str, question: str) -> int:
        return answers.of(answers.moment(collection), question, search)[0][0]

    assert [ask("a", "x"), ask("a", "x"), ask("a", "y"), ask("b", "x")] == [0, 0, 1, 2]
    answers.changed("a")
    assert [ask("a", "x"), ask("a", "y"), ask("b", "x"), ask("a", "x")] == [3, 4, 2, 3]


def test_what_a_write_has_overtaken_is_not_remembered() -> None:
    answers, search = AnswerCache(), Counting()

    def overtaken() -> Hits:
        answers.changed("a")
        return [(-1, 1.0)]

    assert answers.of(answers.moment("a"), "x", overtaken) == [(-1, 1.0)]
    assert answers.of(answers.moment("a"), "x", search) == [(0, 1.0)]


def test_no_more_is_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_cache, "MAX_ANSWERS", 2)
    monkeypatch.setattr(answer_cache, "MAX_HITS", 1)
    answers, search = AnswerCache(), Counting()
    first = [answers.of(answers.moment("a"), question, search) for question in "xyxz"]
    assert first == [[(0, 1.0)], [(1, 1.0)], [(0, 1.0)], [(2, 1.0)]]
    assert answers.of(answers.moment("a"), "x", search) == [(0, 1.0)]
    assert answers.of(answers.moment("a"), "y", search) == [(3, 1.0)]
    long: Hits = [(1, 1.0), (2, 0.5)]
    assert answers.of(answers.moment("a"), "long", lambda: long) == long
    assert answers.of(answers.moment("a"), "long", search) == [(4, 1.0)]


def test_whoever_has_written_finds_what_was_written(shared_store: VectorStore) -> None:
    vectors = random_vectors(40, DIMENSION)
    for name in (NAME, OTHER):
        shared_store.ensure_collection(name, DIMENSION)
        shared_store.upsert(name, range(20), vectors[:20], [{"even": not n % 2} for n in range(20)])

    def best(filter: str | None = None) -> int:
        hits = [shared_store.search(NAME, vectors[25], 5, filter) for _ in range(2)]
        assert hits[0] == hits[1]
        return hits[0][0].image_id

    before = best()
    shared_store.upsert(NAME, [25], vectors[25:26], [{"even": False}])
    assert best() == 25
    assert best("even == true") not in (25, before if before % 2 else 25)
    shared_store.upsert(NAME, [25], vectors[25:26], [{"even": True}])
    assert best("even == true") == 25
    shared_store.delete(NAME, [25])
    assert best() == before
    assert best("even == true") != 25
    # Another of the same name has other rows.
    shared_store.drop(NAME)
    assert shared_store.search(NAME, vectors[25], 5) == []
    shared_store.ensure_collection(NAME, DIMENSION)
    assert shared_store.search(NAME, vectors[25], 5) == []
    shared_store.upsert(NAME, [3], -vectors[25:26])
    assert [hit.image_id for hit in shared_store.search(NAME, vectors[25], 5)] == [3]


def test_what_is_sealed_meanwhile_is_found_as_before(shared_store: VectorStore) -> None:
    shared_store.ensure_collection(NAME, DIMENSION)
    vectors = random_vectors(2_500, DIMENSION)
    query = vectors[0]
    for start in range(0, 2_500, 250):  # enough to be sealed on the way
        shared_store.upsert(NAME, range(start, start + 250), vectors[start : start + 250])
        hits = [shared_store.search(NAME, query, 10) for _ in range(2)]
        there = vectors[: start + 250]
        scores = there @ query / np.linalg.norm(there, axis=1) / np.linalg.norm(query)
        best = np.argsort(-scores)[:10].tolist()
        assert [hit.image_id for hit in hits[0]] == best
        assert hits[0] == hits[1]
