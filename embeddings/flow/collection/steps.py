"""The steps of a collection: those that take row by row, and those that take the stream."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from embeddings.errors import InputError, RecipeError, UnknownName
from embeddings.flow.collection.empty import Empty, shown
from embeddings.flow.graph.steps import (
    checked_node,
    columns,
    is_image_pipeline,
    is_pipeline,
    node_name,
)
from embeddings.operators.bound import BoundOperator

Columns = str | tuple[str, ...]
Kind = Literal["map", "filter", "flat_map", "fill", "drop", "tell", "failed"]


@dataclass(frozen=True)
class Failure:
    """In place of a result: the error that ends the stream there.

    `trace` is the traceback in words, where the error comes out of another process.
    """

    error: Exception
    trace: str = ""


@dataclass(frozen=True, eq=False)
class RowStep:
    """What is done with each row.

    `reads` and `writes` are columns; without them the node takes and gives whole rows. `safe`
    makes an `Empty` of a failure. `here` keeps the step in the caller's thread, whatever the
    engine. `fill`, `drop`, `tell` and `failed` deal with rows that are `Empty`, which the other
    kinds leave alone; `node` is then the default or the callback. `reads_source` is of a step
    that belongs to the source: it is safe where the collection becomes so at all.
    """

    kind: Kind
    node: Any
    label: str
    number: int
    safe: bool = False
    here: bool = False
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    reads_source: bool = False

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"step {self.number}, {self.label}"

    @property
    def has_batches(self) -> bool:
        """Whether its node takes many rows at once."""
        if self.kind not in ("map", "filter", "flat_map"):
            return False
        if isinstance(self.node, BoundOperator):
            return self.node.has_batches
        return callable(getattr(self.node, "batch", None))

    def taken(self, row: Any) -> tuple[Any, ...]:
        """The node's arguments. Raises `InputError` and `UnknownName` for columns not there."""
        return values_of(row, self.reads) if self.reads else (row,)

    def written(self, row: Any, value: Any) -> Any:
        """The row that `row` becomes by what the node made of it; a new one."""
        if not self.writes:
            return value
        old = row if isinstance(row, Mapping) else {}
        if len(self.writes) == 1:
            return {**old, self.writes[0]: value}
        if not isinstance(value, tuple | list) or len(value) != len(self.writes):
            what = (
                f"{len(value)} values" if isinstance(value, tuple | list) else type(value).__name__
            )
            raise InputError(
                f"{node_name(self.node)} must give a tuple of {len(self.writes)} values for the "
                f"columns {', '.join(self.writes)}, not {what}."
            )
        return {**old, **dict(zip(self.writes, value, strict=True))}

    def failed(self, row: Any, origin: Any, error: Exception, trace: str = "") -> Empty | Failure:
        """What stands for the row: `Empty` behind `safe()`, else what ends the stream.

        `origin` is what the row was when this part of the chain began.
        """
        if isinstance(error, StopIteration):  # which would silently end somebody's loop
            stopped = RuntimeError(f"{node_name(self.node)} raised StopIteration.")
            stopped.__cause__ = error
            error = stopped
        came = "" if origin is row else f", which came of {shown(origin)}"
        # An exception may be raised for many rows, as a shared future does: the first is named.
        if not any(note.startswith("in step ") for note in getattr(error, "__notes__", ())):
            with contextlib.suppress(Exception):  # of a class that says otherwise
                error.add_note(f"in {self.name}, for {shown(row)}{came}")
        return Empty(row, error, self.name) if self.safe else Failure(error, trace)


@dataclass(frozen=True, eq=False)
class StreamStep:
    """What is done with the stream of rows, in the caller's thread.

    `keeps_count` says that as many rows come out as go in.
    """

    label: str
    number: int
    apply: Callable[[Iterator[Any]], Iterator[Any]] = field(repr=False)
    keeps_count: bool = False


Step = RowStep | StreamStep


def values_of(row: Any, names: Sequence[str]) -> tuple[Any, ...]:
    """Columns of a row. Raises `InputError` for a row without, and `UnknownName`."""
    if not isinstance(row, Mapping):
        raise InputError(
            f"Columns ({', '.join(names)}) are read of rows that are dicts; this row is "
            f"{type(row).__name__}: {shown(row)}."
        )
    for name in names:
        if name not in row:
            raise UnknownName("column", name, map(str, row))
    return tuple(row[name] for name in names)


def row_step(
    kind: Literal["map", "filter", "flat_map"],
    node: Any,
    number: int,
    *,
    inputs: Columns | None = None,
    outputs: Columns | None = None,
    safe: bool = False,
    here: bool = False,
    name: str | None = None,
    reads_source: bool = False,
) -> RowStep:
    """The step of a node. Raises `RecipeError` for what is no node, and for wrong columns."""
    if not callable(getattr(node, "batch", None)):  # many rows at once will do
        checked_node(node)
    reads = () if inputs is None else columns(inputs)
    writes = () if outputs is None else columns(outputs)
    called = node_name(node) if name is None else name
    if is_pipeline(node):
        if node.outputs is None:
            raise RecipeError("This pipeline has no output yet; end it with `.output(...)`.")
        if reads and len(reads) != len(node.inputs):
            raise RecipeError(
                f"{node!r} takes {len(node.inputs)} columns, but is given {', '.join(reads)}."
            )
    elif is_image_pipeline(node) and (kind != "map" or len(reads) > 1 or len(writes) > 1):
        raise RecipeError(f"{called} can only `map` one column to one.")
    ends = ", ".join(reads) + (f" → {', '.join(writes)}" if writes else "")
    label = f"{kind} {ends.strip()}: {called}" if ends else f"{kind} {called}"
    if name is not None and not ends:
        label = name
    return RowStep(kind, node, label, number, safe, here, reads, writes, reads_source)
