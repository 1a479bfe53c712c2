"""Batch concurrent searches into one product of all vectors with all queries.

Reading half a gigabyte of vectors is what a search takes its time for. Twenty searches that read
them side by side take twenty times as long; one product of all of them with twenty vectors reads
them once.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# Of one product: what it gives has room for four bytes a vector and question.
MAX_QUERIES = 32


@dataclass(eq=False)
class _Question:
    vector: Floats
    answer: Floats | None = None


class Products:
    """Products with the rows of `parts`, matrices (n, D) one under the other. Thread-safe.

    Whoever comes while nobody computes begins at once, and is not made to wait for company. Alone
    or in company, the last bits of an answer may differ.
    """

    def __init__(self, parts: Sequence[Floats]) -> None:
        self._parts = parts
        self._rows = sum(len(part) for part in parts)
        self._waiting: list[_Question] = []
        self._lock = threading.Lock()
        self._computing = threading.Lock()

    def of(self, vector: Floats) -> Floats:
        """Return the product of every row with `vector` (D,): an array (N,) of the caller's own."""
        mine = _Question(vector)
        with self._lock:
            self._waiting.append(mine)
        while mine.answer is None:
            with self._computing:
                if mine.answer is None:  # else somebody has taken it along
                    with self._lock:
                        taken, self._waiting = (
                            self._waiting[:MAX_QUERIES],
                            self._waiting[MAX_QUERIES:],
                        )
                    try:
                        self._answer(taken)
                    except BaseException:
                        with self._lock:  # the others try for themselves
                            self._waiting = [
                                one for one in taken if one is not mine
                            ] + self._waiting
                        raise
        return mine.answer

    def _answer(self, questions: Sequence[_Question]) -> None:
        answers = np.empty((len(questions), self._rows), dtype=np.float32)
        start = 0
        for part in self._parts:
            end = start + len(part)
            if len(questions) == 1:
                np.dot(part, questions[0].vector, out=answers[0, start:end])
            else:
                vectors = np.stack([question.vector for question in questions])
                answers[:, start:end] = vectors @ part.T
            start = end
        for question, answer in zip(questions, answers, strict=True):
            question.answer = answer
