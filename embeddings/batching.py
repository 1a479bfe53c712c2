"""Dynamic batching: `Batcher` gathers waiting requests into one model call."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import Busy

__all__ = ["Batcher", "Busy"]

Array = NDArray[Any]
Vector = NDArray[np.float32]


class Batcher:
    """A model thread that processes all requests waiting at that moment as one batch.

    `embed` takes a list of 1 to `max_batch` prepared pictures and returns an array (N, D).
    While it runs, further requests wait and form the next batch; an idle batcher starts at
    once and adds no delay. At most `max_waiting` requests wait; further ones raise `Busy`.

    The thread starts in the constructor: create a Batcher after a fork, not before.
    """

    def __init__(
        self,
        embed: Callable[[list[Array]], Vector],
        max_batch: int = 16,
        max_waiting: int = 256,
    ) -> None:
        if max_batch < 1 or max_waiting < 1:
            raise ValueError("max_batch and max_waiting must be 1 or more.")
        self._embed = embed
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[Array, Future[Vector]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        # A daemon, so that a program that forgets close() can still end.
        self._thread = threading.Thread(target=self._run, name="embeddings-batcher", daemon=True)
        self._thread.start()

    def submit(self, prepared: Array) -> "Future[Vector]":
        """Queue one prepared picture; the future's result is its vector, float32 (D,).

        The future raises whatever `embed` raised for its batch. Raises `Busy` when the queue is
        full and RuntimeError after `close`.
        """
        future: Future[Vector] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("This batcher is closed.")
            if len(self._waiting) >= self._max_waiting:
                raise Busy(
                    f"{self._max_waiting} pictures are waiting for the model already; "
                    "ask again in a moment."
                )
            self._waiting.append((prepared, future))
            self._changed.notify()
        return future

    def close(self) -> None:
        """Accept no more requests, finish those waiting, and end the thread. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _next(self) -> list[tuple[Array, "Future[Vector]"]]:
        """Wait for work and return up to `max_batch` items; empty means closed and drained."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            count = min(self._max_batch, len(self._waiting))
            return [self._waiting.popleft() for _ in range(count)]

    def _run(self) -> None:
        while requests := self._next():
            # Requests that were cancelled or timed out cost no model time.
            batch = [(x, future) for x, future in requests if future.set_running_or_notify_cancel()]
            if batch:
                self._compute([x for x, _ in batch], [future for _, future in batch])

    def _compute(self, pictures: list[Array], futures: list["Future[Vector]"]) -> None:
        try:
            vectors = self._embed(pictures)
            if len(vectors) != len(futures):
                raise RuntimeError(f"{len(vectors)} vectors came for {len(futures)} pictures.")
            # Copies, so that a retained vector does not keep its whole batch in memory.
            results = [np.array(vector, dtype=np.float32) for vector in vectors]
        except BaseException as error:  # no caller may be left waiting for ever
            for future in futures:
                future.set_exception(error)
            return
        for future, result in zip(futures, results, strict=True):
            future.set_result(result)
