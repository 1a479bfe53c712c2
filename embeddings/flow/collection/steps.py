"""Steps of a collection: row-wise steps and stream steps."""

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
    """Takes the place of a result: the error that ends the stream there.

    `trace` is the formatted traceback when the error comes from another process.
    """

    error: Exception
    trace: str = ""


@dataclass(frozen=True, eq=False)
class RowStep:
    """A step that is applied to each row.

    `reads` and `writes` are columns; without them the node takes and returns whole rows. `safe`
    turns a failure into an `Empty`. `here` keeps the step in the caller's thread with every engine.
    The kinds `fill`, `drop`, `tell` and `failed` handle `Empty` rows, which other kinds skip;
    `node` is then the default or the callback. `reads_source` marks a step of the source: it is
    safe when any part of the collection is.
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
        """Its name in messages."""
        return f"step {self.number}, {self.label}"

    @property
    def has_batches(self) -> bool:
        """Whether its node processes batches of rows."""
        if self.kind not in ("map", "filter", "flat_map"):
            return False
        if isinstance(self.node, BoundOperator):
            return self.node.has_batches
        return callable(getattr(self.node, "batch", None))

    def taken(self, row: Any) -> tuple[Any, ...]:
        """The arguments of the node.

        Raises `InputError` or `UnknownName` when a column is missing.
        """
        return values_of(row, self.reads) if self.reads else (row,)

    def written(self, row: Any, value: Any) -> Any:
        """A new row: `row` with the result of the node written into it."""
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
        """The result for a failed row: an `Empty` after `safe()`, else a `Failure`.

        `origin` is the row as it was when this part of the chain began.
        """
        if isinstance(error, StopIteration):  # it would silently end the loop of a caller
            stopped = RuntimeError(f"{node_name(self.node)} raised StopIteration.")
            stopped.__cause__ = error
            error = stopped
        came = "" if origin is row else f", which came of {shown(origin)}"
        # One exception may be raised for many rows, as by a shared future: only the first is named.
        if not any(note.startswith("in step ") for note in getattr(error, "__notes__", ())):
            with contextlib.suppress(Exception):  # some classes refuse notes
                error.add_note(f"in {self.name}, for {shown(row)}{came}")
        return Empty(row, error, self.name) if self.safe else Failure(error, trace)


@dataclass(frozen=True, eq=False)
class StreamStep:
    """A step over the stream of rows, run in the caller's thread.

    `keeps_count` means that as many rows come out as go in.
    """

    label: str
    number: int
    apply: Callable[[Iterator[Any]], Iterator[Any]] = field(repr=False)
    keeps_count: bool = False


Step = RowStep | StreamStep


def values_of(row: Any, names: Sequence[str]) -> tuple[Any, ...]:
    """Columns of a row.

    Raises `InputError` when the row has no columns, and `UnknownName` when one is missing.
    """
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
    """Create the step of a node. Raises `RecipeError` when the node or a column is invalid."""
    if not callable(getattr(node, "batch", None)):  # `batch` is enough
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
