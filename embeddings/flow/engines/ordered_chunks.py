"""Chunks of rows sent to workers, with results in order and bounded read-ahead."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from embeddings.flow.collection.steps import Failure

# When the source takes longer than this (seconds) for a chunk, finished results are yielded
# meanwhile.
_SLOW = 0.01


@dataclass(frozen=True)
class Done:
    """The results of a chunk, and the seconds that its worker needed."""

    outcomes: list[Any]
    seconds: float


class Task(Protocol):
    """A chunk in flight."""

    def done(self) -> bool: ...

    def result(self) -> Done: ...

    def cancel(self) -> object: ...


class Sizes:
    """The size of the next chunk, starting with one row.

    For nodes with batches it doubles with each chunk, up to `most`. Otherwise it doubles only while
    chunks take fewer seconds than `quick`, so that slow functions are spread over all workers.
    """

    def __init__(self, most: int, quick: float | None = None) -> None:
        self._most = most
        self._quick = quick
        self.size = 1

    def taken(self) -> None:
        """Record that a chunk of this size was sent."""
        if self._quick is None:
            self.size = min(2 * self.size, self._most)

    def finished(self, rows: int, seconds: float) -> None:
        """Record that a chunk of `rows` rows has finished."""
        if self._quick is None:
            return
        if seconds < self._quick and rows >= self.size:
            self.size = min(2 * self.size, self._most)
        elif seconds > 4 * self._quick and rows <= self.size:
            self.size = max(1, self.size // 2)


def in_order(
    rows: Iterator[Any], submit: Callable[[list[Any]], Task], sizes: Sizes, ahead: int
) -> Iterator[Any]:
    """The results of the rows, in order; at most `ahead` chunks are in flight or finished.

    Raises the error of a `Failure` at its place, and what `rows` raises after the results of the
    rows before.
    """
    waiting: deque[tuple[Task, int]] = deque()
    broken: Exception | None = None
    more = True

    def ready() -> bool:
        return bool(waiting) and waiting[0][0].done()

    def first() -> list[Any]:
        task, count = waiting.popleft()
        done = task.result()
        sizes.finished(count, done.seconds)
        return done.outcomes

    try:
        while more or waiting:
            # Yield finished results before reading from the source, which may be slow.
            while more and len(waiting) < ahead and not ready():
                chunk: list[Any] = []
                size, started = sizes.size, time.monotonic()
                while len(chunk) < size:
                    try:
                        chunk.append(next(rows))
                    except StopIteration:
                        more = False
                        break
                    except Exception as error:  # of the source
                        more, broken = False, error
                        break
                    if time.monotonic() - started < _SLOW:
                        continue
                    while ready():
                        yield from given(first())
                    if not waiting:  # workers are idle: send what there is
                        break
                if chunk:
                    waiting.append((submit(chunk), len(chunk)))
                    sizes.taken()
            if waiting:
                yield from given(first())
    finally:
        for task, _ in waiting:
            task.cancel()
    if broken is not None:
        raise broken


def given(outcomes: Iterable[Any]) -> Iterator[Any]:
    """The results; raises at a `Failure`."""
    for outcome in outcomes:
        if isinstance(outcome, Failure):
            raise outcome.error
        yield outcome
