"""The "local" engine: the caller's own thread, or a thread pool."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from embeddings import thread_count as process
from embeddings.flow.collection.fused_steps import Segment
from embeddings.flow.collection.steps import RowStep
from embeddings.flow.engines.ordered_chunks import Done, Sizes, given, in_order
from embeddings.flow.graph.steps import is_picture_pipeline

# Chunks in flight per thread, finished or not, so that no thread waits for the first.
_AHEAD = 3
_QUICK = 0.005
_MAX_CHUNK = 256


class LocalEngine:
    """Runs segments in this process; `close` stops its threads.

    Without `workers` everything runs in the caller's thread, row by row, except image pipelines
    (`embeddings.pipeline(...)`), which use all cores as in their own `stream`.
    """

    def __init__(self, workers: int | None) -> None:
        self._workers = workers
        self._pool: ThreadPoolExecutor | None = None
        self._stopped = threading.Event()

    @classmethod
    def of(cls, parallel: bool, workers: int | None) -> "LocalEngine":
        """The engine with `workers` threads; when parallel, None means one per core."""
        return cls((workers or process.cores()) if parallel else None)

    def kind(self, step: RowStep) -> object:
        """Adjacent steps with equal kinds are run as one segment."""
        return step.here, self._workers is None and _streams(step.node)

    def through(self, segment: Segment, rows: Iterator[Any]) -> Iterator[Any]:
        """The results of the rows, in order. Raises the first failure."""
        streams = any(_streams(step.node) for step in segment.steps)
        if segment.here or (self._workers is None and not streams):
            return in_caller(segment, rows)
        return self._in_threads(segment, rows)

    def close(self) -> None:
        """Stop at the next row, and wait for the threads to end."""
        self._stopped.set()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _in_threads(self, segment: Segment, rows: Iterator[Any]) -> Iterator[Any]:
        segment.make_ready()
        workers = self._workers or process.cores()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(workers, thread_name_prefix="embeddings-collection")
        pool = self._pool

        def submit(rows: list[Any]) -> Future[Done]:
            return pool.submit(self._run, segment, rows)

        sizes = Sizes(segment.chunk()) if segment.has_batches else Sizes(_MAX_CHUNK, _QUICK)
        yield from in_order(rows, submit, sizes, workers * _AHEAD)

    def _run(self, segment: Segment, rows: list[Any]) -> Done:
        started = time.perf_counter()
        outcomes = segment.run(rows, self._stopped.is_set)
        return Done(outcomes, time.perf_counter() - started)


def _streams(node: Any) -> bool:
    """Whether a node uses several threads by default."""
    return is_picture_pipeline(node)


def in_caller(segment: Segment, rows: Iterator[Any]) -> Iterator[Any]:
    """The results of the rows, in the caller's thread; nodes with batches get growing chunks."""
    segment.make_ready()
    if not segment.has_batches:
        for row in rows:
            yield from given(segment.lazily(row))
        return
    sizes = Sizes(segment.chunk())
    more = True
    broken: Exception | None = None
    while more:
        chunk: list[Any] = []
        try:
            while len(chunk) < sizes.size:
                chunk.append(next(rows))
        except StopIteration:
            more = False
        except Exception as error:  # of the source: raised after the rows before it
            more, broken = False, error
        sizes.taken()
        yield from given(segment.run(chunk))
    if broken is not None:
        raise broken
