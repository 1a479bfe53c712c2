"""`DataCollection`: a lazy chain of steps over rows, with its fluent methods."""

import importlib.util
import math
import secrets
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

from embeddings import ops
from embeddings.errors import InputError, PackageMissing, UnknownName, UnknownOperator
from embeddings.flow.collection import stream_steps
from embeddings.flow.collection.constructors import Sources
from embeddings.flow.collection.empty import Empty
from embeddings.flow.collection.execution import ENGINES, Way, run
from embeddings.flow.collection.lazy import Held, Keyed, Search, Selection
from embeddings.flow.collection.operator_methods import OperatorTask
from embeddings.flow.collection.outputs import Ends
from embeddings.flow.collection.steps import Columns, Kind, RowStep, Step, StreamStep, row_step
from embeddings.flow.sources.source import Source

# Default number of rows that `shuffle` buffers.
_BUFFER = 10_000


class DataCollection(Sources, Ends):
    """Rows and a lazy chain of steps: nothing runs until rows are read.

    Each method returns a new collection and leaves this one unchanged. A row is any value; a dict
    is a row with columns, which `inputs` and `outputs` name. Iterating, and the methods that return
    no collection (`to_list`, `first`, `count`, ...), read the source from the beginning; an
    iterator can be read only once.

    Operators are methods by task and implementation: `dc.image_decode.pillow()`, with columns
    `dc.image_decode.pillow["path", "image"]()`.

    When a row fails, the results of the rows before it are yielded, then the exception is raised
    with a note that names step and row; after `safe()` the row becomes an `Empty` instead.
    """

    def __init__(self, rows: Iterable[Any] = ()) -> None:
        """Raises `InputError` when `rows` is not iterable."""
        self._source = Source(rows)
        self._steps: tuple[Step, ...] = ()
        self._way = Way()
        self._is_safe = False

    def __iter__(self) -> Generator[Any, None, None]:
        return run(self._source, self._steps, self._way)

    def __repr__(self) -> str:
        steps = "".join(f" → {step.label}" for step in self._steps)
        return f"<DataCollection {self._source.label}{steps}>"

    def __getattr__(self, name: str) -> "OperatorTask[DataCollection]":
        """The operators of a task.

        Raises an error that is both `UnknownName` and `AttributeError` when there is no such task.
        """
        if name.startswith("_"):  # looked up by copy, pickle and notebooks
            raise AttributeError(name)
        tasks = dir(ops)
        if name not in tasks:
            methods = [one for one in object.__dir__(self) if not one.startswith("_")]
            raise UnknownOperator("task or method", name, [*tasks, *methods])
        return OperatorTask(self.map, getattr(ops, name))

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *dir(ops)})

    # Row-wise steps.

    def map(
        self, node: Any, inputs: Columns | None = None, outputs: Columns | None = None
    ) -> "DataCollection":
        """Apply `node` to each row.

        A node is a function, an operator, an image pipeline (`pipeline(name)`), a graph `Pipeline`,
        or an object with `batch(values)`, which receives several rows at once. With `inputs` these
        columns of the row are its arguments; with `outputs` the result is written to these columns
        of a new row, beside the old ones (a row that is not a dict is replaced). Raises
        `RecipeError` when `node` is none of these.
        """
        return self._row("map", node, inputs, outputs)

    def filter(self, predicate: Any, inputs: Columns | None = None) -> "DataCollection":
        """Keep the rows for which `predicate` (of the row, or of its `inputs`) is true."""
        return self._row("filter", predicate, inputs)

    def flat_map(
        self, node: Any, inputs: Columns | None = None, outputs: Columns | None = None
    ) -> "DataCollection":
        """One row for each item of the iterable that `node` returns; otherwise like `map`."""
        return self._row("flat_map", node, inputs, outputs)

    def safe(self) -> "DataCollection":
        """From here on a failing row becomes an `Empty`, and the other rows continue.

        An `Empty` holds the input and the exception; later steps skip it. Unreadable members of an
        archive (`from_zip`) become an `Empty` too.
        """
        steps = tuple(
            replace(step, safe=True) if isinstance(step, RowStep) and step.reads_source else step
            for step in self._steps
        )
        return self._changed(_steps=steps, _is_safe=True)

    def fill_empty(self, default: Any = None) -> "DataCollection":
        """Replace each failed row by `default`."""
        return self._with_empty("fill", default, "fill_empty")

    def drop_empty(self, callback: Callable[[Empty], Any] | None = None) -> "DataCollection":
        """Drop failed rows; `callback` receives each, in the caller's thread."""
        if callback is None:
            return self._with_empty("drop", None, "drop_empty")
        if not callable(callback):
            raise InputError(f"The callback must be a function, not {type(callback).__name__}.")
        return self._with_empty("tell", callback, "drop_empty", here=True)

    def exceptions(self) -> "DataCollection":
        """Only the failed rows, each an `Empty`."""
        return self._with_empty("failed", None, "exceptions")

    # Steps over several rows. All run in the caller's thread.

    def batch(self, size: int, drop_tail: bool = False) -> "DataCollection":
        """Lists of `size` rows; the last may be shorter, or is dropped with `drop_tail`."""
        at_least(1, size=size)
        return self._stream(f"batch {size}", stream_steps.batched, size, bool(drop_tail))

    def window(self, size: int, step: int = 1) -> "DataCollection":
        """Lists of `size` rows, one every `step` rows; the last ones may be shorter."""
        at_least(1, size=size, step=step)
        return self._stream(f"window {size}, {step}", stream_steps.windows, size, step)

    def head(self, n: int = 5) -> "DataCollection":
        """The first `n` rows; the source is not read further than needed."""
        at_least(0, n=n)
        return self._stream(f"head {n}", stream_steps.headed, n)

    def sample(
        self, n: int | float | None = None, seed: int | None = None, *, ratio: float | None = None
    ) -> "DataCollection":
        """A random sample in the original order: `n` rows, or about a share of all (`ratio`).

        A share is a float, 0 to 1, and needs no memory; a number of rows is drawn uniformly, after
        reading all rows. The same seed draws the same rows, also each time one collection is read.
        """
        if isinstance(n, float):
            n, ratio = None, n if ratio is None else math.nan
        if (n is None) == (ratio is None):
            raise InputError("A sample is of n rows or of a ratio: say one of them.")
        seed = _seed(seed)
        if n is not None:
            at_least(0, n=n)
            return self._stream(f"sample {n}", stream_steps.reservoir, n, seed)
        share: Any = ratio
        if isinstance(share, bool) or not isinstance(share, Real) or not 0 <= float(share) <= 1:
            raise InputError(f"The ratio of a sample is 0 to 1, not {ratio!r}.")
        return self._stream(f"sample {ratio:g}", stream_steps.thinned, ratio, seed)

    def shuffle(self, seed: int | None = None, buffer: int = _BUFFER) -> "DataCollection":
        """The rows in random order, the same for the same seed and for every reading.

        At most `buffer` rows are held, and each output row is drawn from them. With up to `buffer`
        rows every order is equally likely; with more, a row comes out at most `buffer` places
        early, so that a sorted source of millions stays roughly sorted.
        """
        at_least(1, buffer=buffer)
        seed = _seed(seed)
        return self._stream("shuffle", stream_steps.shuffled, seed, buffer, keeps_count=True)

    def group_by(self, key: Callable[[Any], Any] | str) -> "DataCollection":
        """Pairs (key, list of rows), in order of first appearance.

        `key` is a function of the row or the name of a column. All rows are read and held in
        memory.
        """
        if not callable(key) and not isinstance(key, str):
            raise InputError(f"A key is a function or a column, not {type(key).__name__}.")
        keyed = self._row("map", Keyed(key), name="group_by", here=True)
        return keyed._stream("group_by", stream_steps.grouped)

    def zip(self, *others: Iterable[Any]) -> "DataCollection":
        """Tuples of a row of this collection and one of each other; ends with the shortest."""
        return self._stream("zip", stream_steps.zipped, [Source(other) for other in others])

    def concat(self, *others: Iterable[Any]) -> "DataCollection":
        """The rows of this collection, followed by those of the others."""
        return self._stream("concat", stream_steps.joined, [Source(other) for other in others])

    def progress(self, label: str | None = None) -> "DataCollection":
        """Show a progress bar of the rows that pass: on stderr, in a notebook as a widget."""
        keeps = all(
            step.keeps_count if isinstance(step, StreamStep) else step.kind in ("map", "fill")
            for step in self._steps
        )

        def watched(rows: Iterator[Any]) -> Iterator[Any]:
            return stream_steps.watched(rows, label, self._source.count if keeps else None)

        return self._stream("progress", watched, keeps_count=True)

    # Lookups.

    def search_vectors(
        self,
        data: Any,
        metric: str = "cosine",
        top_k: int = 10,
        *,
        ids: Sequence[Any] | None = None,
        inputs: Columns | None = None,
        outputs: Columns | None = None,
    ) -> "DataCollection":
        """The `top_k` nearest vectors of `data` for each vector (D,), as `Hits`: exact, best first.

        `data` is an array (N, D), a bundle, or another collection of vectors, which is read once,
        on first use. `metric` is cosine, ip or l2. The ids of hits are `ids`, else the ids of the
        bundle, else positions. Raises `UnknownName` or `InputError` when an argument is invalid.
        """
        from embeddings.flow.collection.vector_search import Searcher

        if data is None or isinstance(data, str | bytes | Mapping):
            raise InputError(
                "Vectors are searched in an array (N, D), a bundle or a collection of vectors, "
                f"not in {type(data).__name__}."
            )
        Searcher((), metric, top_k)  # validate the arguments now, not on first use

        def made() -> Searcher:
            vectors = data.to_numpy() if isinstance(data, DataCollection) else data
            return Searcher(vectors, metric, top_k, ids)

        name = f"search_vectors {metric}, {top_k}"
        return self._row("map", Search(Held(made)), inputs, outputs, name=name)

    def select_from(
        self,
        other: Any,
        inputs: Columns | None = None,
        outputs: Columns | None = None,
    ) -> "DataCollection":
        """The rows of `other` at the positions in each row: one row, or a list of them.

        A row of `Hits` selects several. `other` is a sequence, an array, or a collection, which is
        read once, on first use. Positions count the rows that were searched: if rows were dropped
        before, give `search_vectors` its `ids`.
        """
        if isinstance(other, Mapping | str) or not (
            isinstance(other, Iterable) or hasattr(other, "__getitem__")
        ):
            raise InputError(
                f"Rows are selected from a collection or a sequence, not {type(other).__name__}."
            )

        def made() -> Any:
            return other if hasattr(other, "__getitem__") else list(other)

        node = Selection(Held(made))
        return self._row("map", node, inputs, outputs, name="select_from", here=True)

    # Execution.

    def set_parallel(self, workers: int | None = None) -> "DataCollection":
        """Run row-wise steps in `workers` threads (None: one per core), or in processes with Ray.

        Applies to the whole chain, wherever it is called. Results keep their order; functions are
        called by several threads at once.
        """
        if workers is not None:
            at_least(1, workers=workers)
        return self._changed(_way=replace(self._way, parallel=True, workers=workers))

    def set_engine(self, engine: str, **options: Any) -> "DataCollection":
        """Run the whole chain with "local" (threads of this process) or "ray" (processes).

        Both take `workers`; for the options of "ray" see `embeddings.flow.engines.ray.OPTIONS`.
        Raises `UnknownName` when the engine or an option is unknown, and `PackageMissing` when ray
        is not installed.
        """
        if engine not in ENGINES:
            raise UnknownName("engine", engine, ENGINES)
        known: Iterable[str] = ("workers",)
        if engine == "ray":
            if importlib.util.find_spec("ray") is None:
                raise PackageMissing(
                    "The engine 'ray' needs the package ray: pip install -r "
                    "requirements/ray.txt, or the extra 'ray' of lookalike-embeddings"
                )
            from embeddings.flow.engines.ray import OPTIONS

            known = OPTIONS
        for name in options:
            if name not in known:
                raise UnknownName(f"option of the engine {engine!r}", name, known)
        workers = options.pop("workers", self._way.workers)
        if workers is not None:
            at_least(1, workers=workers)
        parallel = self._way.parallel or workers is not None
        return self._changed(_way=Way(engine, parallel, workers, options))

    def _row(
        self,
        kind: Any,
        node: Any,
        inputs: Columns | None = None,
        outputs: Columns | None = None,
        **more: Any,
    ) -> "DataCollection":
        number = len(self._steps) + 1
        step = row_step(
            kind, node, number, inputs=inputs, outputs=outputs, safe=self._is_safe, **more
        )
        return self._changed(_steps=(*self._steps, step))

    def _with_empty(
        self, kind: Kind, node: Any, label: str, here: bool = False
    ) -> "DataCollection":
        step = RowStep(kind, node, label, len(self._steps) + 1, safe=self._is_safe, here=here)
        return self._changed(_steps=(*self._steps, step))

    def _stream(
        self, label: str, apply: Callable[..., Iterator[Any]], *arguments: Any, **more: Any
    ) -> "DataCollection":
        def applied(rows: Iterator[Any]) -> Iterator[Any]:
            return apply(rows, *arguments)

        step = StreamStep(label, len(self._steps) + 1, applied, **more)
        return self._changed(_steps=(*self._steps, step))

    def _changed(self, **attributes: Any) -> "DataCollection":
        collection = type(self).__new__(type(self))
        collection.__dict__.update({**self.__dict__, **attributes})
        return collection


def at_least(least: int, **numbers: Any) -> None:
    """Raises `InputError` when a value is not an integer, or is below `least`."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, Integral) or number < least:
            raise InputError(f"{name} must be a whole number, {least} or more; not {number!r}.")


def _seed(seed: Any) -> int:
    """The seed, or a random one drawn now, so that every reading gives the same rows."""
    if seed is None:
        return secrets.randbits(64)
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise InputError(f"A seed is a whole number or None, not {seed!r}.")
    return int(seed)
