"""Products that are made together are those that are made alone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from searchapp.infra.vectors.lite import batched_products
from searchapp.infra.vectors.lite.batched_products import Floats, Products
from tests.infra.vectors.conftest import random_vectors

_PARTS = [random_vectors(300, 16), random_vectors(40, 16)]
_ALL = np.concatenate(_PARTS)


@pytest.mark.parametrize("most", [1, 3, 32])
def test_many_who_ask_at_once_get_each_their_own(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batched_products, "MAX_QUERIES", most)
    products, vectors = Products(_PARTS), random_vectors(60, 16)
    begin = threading.Barrier(12)

    def ask(start: int) -> list[Floats]:
        begin.wait()
        return [products.of(vector) for vector in vectors[start::12]]

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(ask, range(12)))
    for start, results in enumerate(answers):
        for vector, answer in zip(vectors[start::12], results, strict=True):
            np.testing.assert_allclose(answer, _ALL @ vector, rtol=1e-4, atol=1e-5)


def test_who_waits_is_answered_together_and_a_failure_is_one_s_own() -> None:
    numbers: list[int] = []
    may_go_on, is_in = threading.Event(), threading.Event()

    class Counting(Products):
        def _answer(self, questions: Sequence[batched_products._Question]) -> None:
            numbers.append(len(questions))
            if len(numbers) == 1:
                is_in.set()
                may_go_on.wait(10)
            if len(numbers) == 2:
                raise MemoryError
            super()._answer(questions)

    products, vectors = Counting(_PARTS), random_vectors(5, 16)
    with ThreadPoolExecutor(5) as threads:
        first = threads.submit(products.of, vectors[0])
        assert is_in.wait(10)
        others = [threads.submit(products.of, vector) for vector in vectors[1:]]
        while len(products._waiting) < 4:
            pass
        may_go_on.set()
        np.testing.assert_allclose(first.result(10), _ALL @ vectors[0], rtol=1e-4, atol=1e-5)
        failed = [future for future in others if future.exception(10) is not None]
    assert len(failed) == 1
    assert numbers == [1, 4, 3]


def test_of_nothing_there_is_nothing() -> None:
    assert Products([]).of(random_vectors(1, 16)[0]).shape == (0,)
