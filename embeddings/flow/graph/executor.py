"""Execution of a graph pipeline: in chunks, in threads, in order.

A chunk of rows goes through all steps in one thread, two chunks at once. Nodes with batches receive
all rows of the chunk. The steps between them are one task per row, so that a decoded picture does
not outlive its task; a value is dropped after its last use.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from embeddings.errors import InputError
from embeddings.flow.graph.steps import Graph, Step, is_image_pipeline, is_pipeline, node_name
from embeddings.operators.bound import BoundOperator

# Largest batch of a node with batches: a flat_map can expand a chunk to many rows.
MAX_BATCH = 32

_CHUNKS_AT_ONCE = 2


@dataclass
class _Row:
    """Values by number; `source` is the index of the input that the row came from."""

    source: int
    values: dict[int, Any]


@dataclass(frozen=True)
class Failure:
    """Takes the place of a row or of its result: the error that was raised.

    `last` when the iterable itself raised it; there are no rows after it.
    """

    error: Exception
    last: bool = False


Input = tuple[Any, ...] | Failure


def stream(
    pipeline: Graph,
    rows: Iterator[Input],
    chunk: int,
    threads: int,
    return_errors: bool,
    early: bool,
) -> Iterator[Any]:
    """The results in order; see `Pipeline.stream`.

    With `early` the first chunk has one row and later ones grow, and a chunk is sent early when no
    other is running, so that the results of a slow iterable come soon.
    """
    waiting: deque[Future[list[Any]]] = deque()

    def finished(ahead: int) -> Iterator[Any]:
        """Yield results of finished chunks, and wait for others until `ahead` are left."""
        while waiting and (len(waiting) > ahead or waiting[0].done()):
            yield from _given(waiting.popleft().result(), return_errors)

    with (
        ThreadPoolExecutor(threads, "embeddings-rows") as pool,
        ThreadPoolExecutor(_CHUNKS_AT_ONCE, "embeddings-chunks") as chunks,
    ):
        try:
            size = 1 if early else chunk
            while True:
                # A chunk of one row is sent for its result, which is yielded at once.
                ahead = 0 if size == 1 else _CHUNKS_AT_ONCE - 1
                batch: list[Input] = []
                for row in itertools.islice(rows, size):
                    batch.append(row)
                    yield from finished(_CHUNKS_AT_ONCE)
                    if early and not waiting:
                        break
                if not batch:
                    yield from finished(0)
                    return
                waiting.append(chunks.submit(run, pipeline, batch, pool))
                yield from finished(ahead)
                size = min(2 * size, chunk)
        finally:
            # After an error, or when the caller closes the stream, results are not needed.
            for future in waiting:
                future.cancel()


def _given(outcomes: Sequence[Any], return_errors: bool) -> Iterator[Any]:
    """Results, and errors in their places; raises the error that ends the stream."""
    for outcome in outcomes:
        if not isinstance(outcome, Failure):
            yield outcome
        elif return_errors and not outcome.last:
            yield outcome.error
        else:
            raise outcome.error


def run(pipeline: Graph, inputs: Sequence[Input], pool: Executor | None) -> list[Any]:
    """The result for each input row, or a `Failure`. Without a pool it runs in this thread."""
    chunk = _Chunk(pipeline, inputs, pool)
    for position, steps in _segments(pipeline.steps):
        chunk.run(position, steps)
    return chunk.results()


class _Chunk:
    """A chunk of rows being run through a pipeline."""

    def __init__(self, pipeline: Graph, inputs: Sequence[Input], pool: Executor | None) -> None:
        self._pipeline = pipeline
        self._count = len(inputs)
        self._pool = pool
        self._inputs: dict[int, tuple[Any, ...]] = {}
        self._failures: dict[int, Failure] = {}
        for at, values in enumerate(inputs):
            if isinstance(values, Failure):
                self._failures[at] = values
            else:
                self._inputs[at] = values
        self._rows = [_Row(at, dict(enumerate(values))) for at, values in self._inputs.items()]
        self._outputs = [pipeline.columns[name] for name in pipeline.outputs or ()]
        last = {at: step for step, one in enumerate(pipeline.steps) for at in one.reads}
        # The values that are not used after each step.
        self._dead: list[set[int]] = [set() for _ in pipeline.steps]
        for number, step in enumerate(pipeline.steps):
            for at in {*step.reads, *step.writes} - set(self._outputs):
                if last.get(at, number) <= number:
                    self._dead[number].add(at)

    def run(self, position: int, steps: Sequence[Step]) -> None:
        """Run all rows through a segment: one step with batches or windows, or row-wise steps."""
        first = steps[0]
        if first.kind == "window":
            self._rows = self._windows(position, first)
        elif _has_batches(first):
            self._rows = self._batches(position, first)
        else:
            done = self._each(lambda row: self._one_row(row, position, steps), self._rows)
            self._rows = [row for rows in done for row in rows]
        # A failed row fails all rows of its input.
        self._rows = [row for row in self._rows if row.source not in self._failures]

    def results(self) -> list[Any]:
        """A result or `Failure` for each input."""
        grouped: list[list[Any]] = [[] for _ in range(self._count)]
        for row in self._rows:
            values = tuple(row.values[at] for at in self._outputs)
            grouped[row.source].append(values[0] if len(values) == 1 else values)
        single = not self._pipeline.changes_rows
        return [
            self._failures.get(at) or (results[0] if single else results)
            for at, results in enumerate(grouped)
        ]

    def _one_row(self, row: _Row, position: int, steps: Sequence[Step]) -> list[_Row]:
        """Run one row through row-wise steps, of which only the last may make several rows."""
        rows = [row]
        for number, step in enumerate(steps, position):
            if not rows:
                break
            try:
                value = step.node(*(row.values[at] for at in step.reads))
                rows = self._applied(number, step, row, value)
            except Exception as error:
                self._fail(row, number, error)
                return []
        return rows

    def _batches(self, position: int, step: Step) -> list[_Row]:
        done: list[_Row] = []
        for start in range(0, len(self._rows), MAX_BATCH):
            rows = self._rows[start : start + MAX_BATCH]
            for row, value in zip(rows, self._values(step, rows), strict=True):
                if row.source in self._failures:
                    continue
                try:
                    if isinstance(value, Failure):
                        raise value.error
                    done += self._applied(position, step, row, value)
                except Exception as error:
                    self._fail(row, position, error)
        return done

    def _values(self, step: Step, rows: Sequence[_Row]) -> Sequence[Any]:
        """The result of a node with batches for each row, or a `Failure`."""
        node: Any = step.node
        arguments = [tuple(row.values[at] for at in step.reads) for row in rows]
        if is_pipeline(node):
            return run(node, arguments, self._pool)
        values = [args[0] for args in arguments] if len(step.reads) == 1 else arguments
        try:
            return _copied(_called(node, values), len(rows))
        except Exception as error:
            if len(rows) > 1 and (isinstance(node, BoundOperator) or is_image_pipeline(node)):
                # Find the row that failed: operators have no side effects, so they can be called
                # again.
                return [value for row in rows for value in self._values(step, [row])]
            if len(rows) > 1:
                error.add_note(f"(in a batch of {len(rows)} rows)")
            return [Failure(error)] * len(rows)

    def _windows(self, position: int, step: Step) -> list[_Row]:
        windows: list[list[_Row]] = []
        for _, group in itertools.groupby(self._rows, key=lambda row: row.source):
            rows = list(group)
            windows += [rows[at : at + step.size] for at in range(0, len(rows), step.step)]

        def one(rows: list[_Row]) -> list[_Row]:
            row = _Row(rows[0].source, dict(rows[0].values))
            lists = [[each.values[at] for each in rows] for at in step.reads]
            try:
                if is_pipeline(step.node):
                    (value,) = run(step.node, [tuple(lists)], None)
                    if isinstance(value, Failure):
                        raise value.error
                else:
                    value = step.node(*lists)
                return self._applied(position, step, row, value)
            except Exception as error:
                self._fail(row, position, error)
                return []

        return [row for rows in self._each(one, windows) for row in rows]

    def _each(
        self, task: Callable[[Any], list[_Row]], items: Sequence[Any]
    ) -> Iterable[list[_Row]]:
        if self._pool is None or len(items) < 2:
            return [task(item) for item in items]
        return list(self._pool.map(task, items))

    def _applied(self, number: int, step: Step, row: _Row, value: Any) -> list[_Row]:
        """The rows that result from a row and the value of a node."""
        if step.kind == "filter":
            rows = [row] if value else []
        elif step.kind == "flat_map":
            rows = [_Row(row.source, {**row.values, **_written(step, item)}) for item in value]
        else:
            row.values.update(_written(step, value))
            rows = [row]
        for one in rows:
            for at in self._dead[number]:
                one.values.pop(at, None)
        return rows

    def _fail(self, row: _Row, number: int, error: Exception) -> None:
        label = self._pipeline.steps[number].label
        inputs = ", ".join(
            f"{name} = {_shown(value)}"
            for name, value in zip(self._pipeline.inputs, self._inputs[row.source], strict=True)
        )
        # One error may stand for all rows of a batch: only the first row is named.
        if all(failure.error is not error for failure in self._failures.values()):
            error.add_note(f"in step {number + 1}, {label}, for {inputs}")
        self._failures.setdefault(row.source, Failure(error))


def _segments(steps: Sequence[Step]) -> Iterator[tuple[int, list[Step]]]:
    """Runs of row-wise steps, and every other step alone, with the index of the first.

    A flat_map ends a run, so that its rows are spread over the threads.
    """
    run: list[Step] = []
    for position, step in enumerate(steps):
        alone = step.kind == "window" or _has_batches(step)
        if alone and run:
            yield position - len(run), run
            run = []
        run.append(step)
        if alone or step.kind == "flat_map":
            yield position + 1 - len(run), run
            run = []
    if run:
        yield len(steps) - len(run), run


def _has_batches(step: Step) -> bool:
    node = step.node
    if isinstance(node, BoundOperator):
        return node.has_batches
    return callable(getattr(node, "batch", None))


def _called(node: Any, values: list[Any]) -> Sequence[Any]:
    results: Sequence[Any] = node.batch(values)
    if len(results) != len(values):
        raise InputError(
            f"{node_name(node)} gave {len(results)} results for a batch of {len(values)} values."
        )
    return results


def _copied(results: Sequence[Any], count: int) -> list[Any]:
    """Copies of the results, so that a kept vector does not keep its whole batch in memory."""
    rows = list(results)
    if hasattr(results, "base") and count > 1:
        rows = [row.copy() for row in rows]
    return rows


def _written(step: Step, value: Any) -> dict[int, Any]:
    """The values that a step writes, by number."""
    if len(step.writes) == 1:
        return {step.writes[0]: value}
    if not isinstance(value, tuple | list) or len(value) != len(step.writes):
        what = f"{len(value)} values" if isinstance(value, tuple | list) else type(value).__name__
        raise InputError(
            f"{node_name(step.node)} must give a tuple of {len(step.writes)} values, not {what}."
        )
    return dict(zip(step.writes, value, strict=True))


def _shown(value: Any) -> str:
    """A short description of an input."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype} of shape {value.shape}"
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:197]}..."
