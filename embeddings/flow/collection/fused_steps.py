"""Fused row-wise steps, run on chunks of rows: `Segment`."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from embeddings.errors import InputError
from embeddings.flow.collection.empty import Empty
from embeddings.flow.collection.lazy import Search, Selection
from embeddings.flow.collection.steps import Failure, RowStep
from embeddings.flow.graph.steps import is_picture_pipeline, is_pipeline, node_name
from embeddings.flow.picture_pipeline import PicturePipeline
from embeddings.operators.bound import BoundOperator
from embeddings.runtimes.spec import max_batch

# Largest batch of a node with batches: a flat_map can expand a chunk to many rows.
_MAX_BATCH = 128
# A model gets a quarter of its largest batch: enough for a forward pass, with few decoded pictures
# in memory, as in the stream of an `ImagePipeline`.
_PART = 4

_Item = tuple[Any, Any]  # a row, and its original at the start of the chunk


class Segment:
    """Fused row-wise steps, run by an engine in any thread or process.

    Can be pickled when its nodes can. Functions are called row by row, in order within a chunk;
    nodes with batches receive the rows of a chunk together.
    """

    def __init__(self, steps: Sequence[RowStep]) -> None:
        self.steps = tuple(steps)

    @property
    def here(self) -> bool:
        """Whether it must run in the caller's thread."""
        return self.steps[0].here

    @property
    def has_batches(self) -> bool:
        """Whether a node processes batches of rows."""
        return any(step.has_batches for step in self.steps)

    @property
    def label(self) -> str:
        """A description of its steps."""
        first, last = self.steps[0], self.steps[-1]
        if first is last:
            return first.name
        labels = " → ".join(step.label for step in self.steps)
        return f"steps {first.number} to {last.number}, {labels}"

    def chunk(self) -> int:
        """The best chunk size for its nodes with batches; 1 when there are none."""
        return min((_worth(step.node) for step in self.steps if step.has_batches), default=1)

    def make_ready(self) -> None:
        """Load the lookup data of its nodes, once. Raises what loading raises, for no row."""
        for step in self.steps:
            if isinstance(step.node, Search | Selection):
                try:
                    step.node.make_ready()
                except Exception as error:
                    error.add_note(f"in what {step.name} looks things up in")
                    raise

    def lazily(self, row: Any) -> Iterator[Any]:
        """The results of one row, one at a time; for segments without batches.

        A `Failure` is always the last.
        """
        for value in _through(self.steps, 0, row, row):
            yield value
            if isinstance(value, Failure):
                return

    def run(self, rows: Sequence[Any], stopped: Callable[[], bool] | None = None) -> list[Any]:
        """The results of the rows, in order, up to the first `Failure`.

        Stops early between rows when `stopped` returns true: the results are no longer needed.
        """
        return [value for value, _ in self.traced(rows, stopped)]

    def traced(
        self, rows: Sequence[Any], stopped: Callable[[], bool] | None = None
    ) -> list[tuple[Any, Any]]:
        """The results of `run`, each with the row it came from."""
        items: list[_Item] = [(row, row) for row in rows]
        failure: list[_Item] = []
        for batched, group in groupby(self.steps, lambda step: step.has_batches):
            steps = tuple(group)
            for part in [(step,) for step in steps] if batched else [steps]:
                results = _together(part[0], items) if batched else _one_by_one(part, items)
                items = []
                for value, origin in results:
                    if isinstance(value, Failure):
                        failure = [(value, origin)]
                        break
                    if stopped is not None and stopped():
                        return []
                    items.append((value, origin))
        return items + failure


def _one_by_one(steps: Sequence[RowStep], items: Sequence[_Item]) -> Iterator[_Item]:
    for row, origin in items:
        for value in _through(steps, 0, row, origin):
            yield value, origin


def _through(steps: Sequence[RowStep], start: int, row: Any, origin: Any) -> Iterator[Any]:
    """Run one row through row-wise steps."""
    for at in range(start, len(steps)):
        step = steps[at]
        if type(row) is Empty or step.kind in ("fill", "drop", "tell", "failed"):
            outcome = _kept(step, row, origin)
            if not outcome:
                return
            row = outcome[0]
            if isinstance(row, Failure):
                break
            continue
        try:
            results = _made(step, row, step.node(*step.taken(row)))
        except Exception as error:
            row = _failed(step, row, origin, error)
            if isinstance(row, Failure):
                break
            continue
        if step.kind == "flat_map":
            for item in _items(step, row, origin, results):
                yield from _through(steps, at + 1, item, origin)
            return
        if not results:
            return
        row = results[0]
    yield row


def _kept(step: RowStep, row: Any, origin: Any) -> list[Any]:
    """The result for an `Empty` row, or of a step that handles such rows."""
    empty = type(row) is Empty
    if step.kind == "fill":
        return [step.node if empty else row]
    if step.kind == "failed":
        return [row] if empty else []
    if not empty or step.kind not in ("drop", "tell"):
        return [row]
    if step.kind == "tell":
        try:
            step.node(row)
        except Exception as error:  # from the callback; no later step may swallow it
            failed = step.failed(row, origin, error)
            return [failed if isinstance(failed, Failure) else Failure(error)]
    return []


def _made(step: RowStep, row: Any, value: Any) -> Any:
    """The rows that replace a row: a list of none or one, or an iterator for flat_map."""
    if step.kind == "filter":
        return [row] if value else []
    if step.kind == "flat_map":
        return (step.written(row, item) for item in value)
    return [step.written(row, value)]


def _items(step: RowStep, row: Any, origin: Any, results: Iterator[Any]) -> Iterator[Any]:
    """The rows of a flat_map, followed by the failure of its iterable, if any."""
    while True:
        try:
            item = next(results)
        except StopIteration:
            return
        except Exception as error:
            yield _failed(step, row, origin, error)
            return
        yield item


def _failed(step: RowStep, row: Any, origin: Any, error: Exception) -> Empty | Failure:
    failed = step.failed(row, origin, error)
    if isinstance(failed, Empty):
        _forget_locals(error)
    return failed


def _forget_locals(error: BaseException | None) -> None:
    """Clear the frames of a traceback, so that a kept error does not keep pictures in memory."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _together(step: RowStep, items: Sequence[_Item]) -> Iterator[_Item]:
    """Run rows through a node with batches."""
    for start in range(0, len(items), _MAX_BATCH):
        group = items[start : start + _MAX_BATCH]
        arguments: list[Any] = []
        places: dict[int, int | Exception] = {}
        for at, (row, _) in enumerate(group):
            if type(row) is Empty:
                continue
            try:
                fields = step.taken(row)
                places[at] = len(arguments)
                arguments.append(fields[0] if len(fields) == 1 else fields)
            except Exception as error:
                places[at] = error
        answers = _answers(step.node, arguments)
        for at, (row, origin) in enumerate(group):
            if at not in places:
                yield row, origin
                continue
            place = places[at]
            try:
                answer = answers[place] if isinstance(place, int) else Failure(place)
                if isinstance(answer, Failure):
                    raise answer.error
                results = _made(step, row, answer)
            except Exception as error:
                yield _failed(step, row, origin, error), origin
                continue
            values = _items(step, row, origin, results) if step.kind == "flat_map" else results
            for value in values:
                yield value, origin


def _answers(node: Any, values: list[Any]) -> list[Any]:
    """The result of a node with batches for each value, or a `Failure`."""
    if is_picture_pipeline(node) or is_pipeline(node):
        # A pipeline reads a list as many rows, so a list as one value is run alone.
        answers: list[Any] = [None] * len(values)
        alone = [at for at, value in enumerate(values) if _is_many(node, value)]
        for at in alone:
            answers[at] = _alone(node, values[at])
        others = [at for at in range(len(values)) if at not in set(alone)]
        batch = [values[at] for at in others]
        results = _pictures(node, batch) if is_picture_pipeline(node) else _rows(node, batch)
        for at, answer in zip(others, results, strict=True):
            answers[at] = answer
        return answers
    return _batch(node, values, repeatable=isinstance(node, BoundOperator))


def _is_many(node: Any, value: Any) -> bool:
    return isinstance(value, list) and (is_picture_pipeline(node) or len(node.inputs) == 1)


def _alone(node: Any, value: Any) -> Any:
    try:
        return node(value)
    except Exception as error:
        return Failure(error)


def _rows(node: Any, values: list[Any]) -> list[Any]:
    """Run values through a graph pipeline."""
    results = node.batch(values, errors="return") if values else []
    return [Failure(one) if isinstance(one, Exception) else one for one in results]


def _pictures(node: PicturePipeline[Any], pictures: list[Any]) -> list[Any]:
    """Run pictures through a pipeline in this thread: decode each, embed them together."""
    answers: list[Any] = []
    prepared = []
    for picture in pictures:
        try:
            # `prepare` handles all other inputs, as the recipe says.
            prepared.append(node.prepare(picture))
            answers.append(None)
        except Exception as error:
            answers.append(Failure(error))
    vectors = iter(_batch(_Embedding(node), prepared, repeatable=True))
    return [next(vectors) if answer is None else answer for answer in answers]


class _Embedding:
    """The last stage of a pipeline: embeds prepared pictures."""

    def __init__(self, pipeline: PicturePipeline[Any]) -> None:
        self.batch = pipeline.rows


def _batch(node: Any, values: list[Any], *, repeatable: bool) -> list[Any]:
    """Run a batch in one call; when it fails and is repeatable, run the values one by one."""
    if not values:
        return []
    try:
        results = node.batch(values)
        if len(results) != len(values):
            raise InputError(
                f"{node_name(node)} gave {len(results)} results for a batch of {len(values)} "
                "values."
            )
    except Exception as error:
        if len(values) == 1:
            return [Failure(error)]
        if repeatable or getattr(node, "repeatable", False):
            return [answer for one in values for answer in _batch(node, [one], repeatable=True)]
        error.add_note(f"(in a batch of {len(values)} rows)")
        return [Failure(error)] * len(values)
    if hasattr(results, "base") and len(values) > 1:
        # Copies, so that a kept vector does not keep its whole batch in memory.
        return [row.copy() for row in results]
    return list(results)


def _worth(node: Any) -> int:
    """The batch size for a node with batches."""
    if is_picture_pipeline(node):
        return node.max_batch // _PART
    if isinstance(node, BoundOperator) and node.name.startswith("image_"):
        return max_batch(str(node.local.get("device", "cpu"))) // _PART
    return max_batch("cpu")
