"""`DataCollection`: rows on their way through a chain of steps."""

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

# Rows that `shuffle` holds, unless told otherwise.
_BUFFER = 10_000


class DataCollection(Sources, Ends):
    """Rows, and what is to be done with them: nothing happens until rows are asked for.

    Each method gives a new collection and leaves this one as it is. A row is any value; a dict
    is a row with columns, which `inputs` and `outputs` name. Iterating, and the methods that
    give no collection (`to_list`, `first`, `count`, ...), read the source from its beginning;
    one that is an iterator can be read once.

    Operators are methods by task and implementation: `dc.image_decode.pillow()`, with columns
    `dc.image_decode.pillow["path", "image"]()`.

    A row that fails raises what the step raised, with a note that names step and row, behind
    the results of the rows before it; behind `safe()` it becomes an `Empty`.
    """

    def __init__(self, rows: Iterable[Any] = ()) -> None:
        """Raises `InputError` for what is no iterable."""
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
        """The operators of a task. Raises an error that is `UnknownName` and AttributeError."""
        if name.startswith("_"):  # what copying, pickling and notebooks look for
            raise AttributeError(name)
        tasks = dir(ops)
        if name not in tasks:
            methods = [one for one in object.__dir__(self) if not one.startswith("_")]
            raise UnknownOperator("task or method", name, [*tasks, *methods])
        return OperatorTask(self.map, getattr(ops, name))

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *dir(ops)})

    # Row by row.

    def map(
        self, node: Any, inputs: Columns | None = None, outputs: Columns | None = None
    ) -> "DataCollection":
        """What `node` makes of each row.

        A node is a function, an operator, what `pipeline(name)` gives, a graph `Pipeline`, or
        an object with `batch(values)`, which gets several rows at once. With `inputs` it is
        given these columns of the row, each an argument; with `outputs` the result goes into
        these columns of a new row, beside the old ones (a row that is no dict gives way).
        Raises `RecipeError` for what is no node.
        """
        return self._row("map", node, inputs, outputs)

    def filter(self, predicate: Any, inputs: Columns | None = None) -> "DataCollection":
        """The rows for which `predicate` (of the row, or its `inputs`) is true."""
        return self._row("filter", predicate, inputs)

    def flat_map(
        self, node: Any, inputs: Columns | None = None, outputs: Columns | None = None
    ) -> "DataCollection":
        """A row for each item that `node` gives for a row, as `map` does for one."""
        return self._row("flat_map", node, inputs, outputs)

    def safe(self) -> "DataCollection":
        """From here on a row that fails becomes an `Empty`, and the others go on.

        It holds its input and its exception, and later steps leave it alone. The members of an
        archive (`from_zip`) are read safely as well.
        """
        steps = tuple(
            replace(step, safe=True) if isinstance(step, RowStep) and step.reads_source else step
            for step in self._steps
        )
        return self._changed(_steps=steps, _is_safe=True)

    def fill_empty(self, default: Any = None) -> "DataCollection":
        """`default` in the place of each row that failed."""
        return self._with_empty("fill", default, "fill_empty")

    def drop_empty(self, callback: Callable[[Empty], Any] | None = None) -> "DataCollection":
        """Leave the rows that failed out; `callback` gets each, in the caller's thread."""
        if callback is None:
            return self._with_empty("drop", None, "drop_empty")
        if not callable(callback):
            raise InputError(f"The callback must be a function, not {type(callback).__name__}.")
        return self._with_empty("tell", callback, "drop_empty", here=True)

    def exceptions(self) -> "DataCollection":
        """Only the rows that failed, each an `Empty`."""
        return self._with_empty("failed", None, "exceptions")

    # Several rows together. All of these run in the caller's thread.

    def batch(self, size: int, drop_tail: bool = False) -> "DataCollection":
        """Lists of `size` rows; the last may be shorter, or is dropped with `drop_tail`."""
        at_least(1, size=size)
        return self._stream(f"batch {size}", stream_steps.batched, size, bool(drop_tail))

    def window(self, size: int, step: int = 1) -> "DataCollection":
        """Lists of `size` rows, one every `step` rows; the last ones may be shorter."""
        at_least(1, size=size, step=step)
        return self._stream(f"window {size}, {step}", stream_steps.windows, size, step)

    def head(self, n: int = 5) -> "DataCollection":
        """The first `n` rows; the source is not read beyond what they need."""
        at_least(0, n=n)
        return self._stream(f"head {n}", stream_steps.headed, n)

    def sample(
        self, n: int | float | None = None, seed: int | None = None, *, ratio: float | None = None
    ) -> "DataCollection":
        """Some rows by chance, in their order: `n` of them, or about a share of all (`ratio`).

        A share is a float, 0 to 1, and needs no memory; a number of rows is drawn evenly from
        all rows, which are read to the end. The same seed draws the same rows, and so does
        every reading of one collection.
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

        Up to `buffer` rows are held, and each that goes out is drawn from them. With so many
        rows or fewer every order is as likely; of more, rows come out early at most by `buffer`
        places, so that a sorted source of millions stays roughly sorted.
        """
        at_least(1, buffer=buffer)
        seed = _seed(seed)
        return self._stream("shuffle", stream_steps.shuffled, seed, buffer, keeps_count=True)

    def group_by(self, key: Callable[[Any], Any] | str) -> "DataCollection":
        """Pairs (key, list of rows), in the order in which the keys come.

        `key` is a function of the row or the name of a column. All rows are read, and held,
        first.
        """
        if not callable(key) and not isinstance(key, str):
            raise InputError(f"A key is a function or a column, not {type(key).__name__}.")
        keyed = self._row("map", Keyed(key), name="group_by", here=True)
        return keyed._stream("group_by", stream_steps.grouped)

    def zip(self, *others: Iterable[Any]) -> "DataCollection":
        """Tuples of a row of this collection and one of each other, to the end of the shortest."""
        return self._stream("zip", stream_steps.zipped, [Source(other) for other in others])

    def concat(self, *others: Iterable[Any]) -> "DataCollection":
        """The rows of this collection, then those of each other."""
        return self._stream("concat", stream_steps.joined, [Source(other) for other in others])

    def progress(self, label: str | None = None) -> "DataCollection":
        """A bar that counts the rows as they pass: on stderr, in a notebook a widget."""
        keeps = all(
            step.keeps_count if isinstance(step, StreamStep) else step.kind in ("map", "fill")
            for step in self._steps
        )

        def watched(rows: Iterator[Any]) -> Iterator[Any]:
            return stream_steps.watched(rows, label, self._source.count if keeps else None)

        return self._stream("progress", watched, keeps_count=True)

    # Looking things up.

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
        """The `top_k` nearest of `data` for each vector (D,), as `Hits`: exact, best first.

        `data` is an array (N, D), a bundle, or another collection of vectors, which is read at
        first need, once. `metric` is cosine, ip or l2. Hits have the places of what was found,
        or the bundle's ids, or `ids`. Raises `UnknownName` and `InputError` for wrong arguments.
        """
        from embeddings.flow.collection.vector_search import Searcher

        if data is None or isinstance(data, str | bytes | Mapping):
            raise InputError(
                "Vectors are searched in an array (N, D), a bundle or a collection of vectors, "
                f"not in {type(data).__name__}."
            )
        Searcher((), metric, top_k)  # wrong arguments fail here, not at first need

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
        """The rows of `other` at the places that each row says: one, or a list of them.

        `Hits` say several. A place counts the rows of what was searched: where rows of it were
        dropped on the way, `ids` of `search_vectors` are the better names.
        `other` is a sequence, an array, or a collection, which is read at first need, once.
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

    # How it is run.

    def set_parallel(self, workers: int | None = None) -> "DataCollection":
        """Run the row-wise steps in `workers` threads (None: one for each core), or processes.

        It holds for the whole chain, wherever it stands. Results keep their order; functions
        are called by several threads at once.
        """
        if workers is not None:
            at_least(1, workers=workers)
        return self._changed(_way=replace(self._way, parallel=True, workers=workers))

    def set_engine(self, engine: str, **options: Any) -> "DataCollection":
        """Run the whole chain by "local" (threads of this process) or "ray" (processes).

        Both take `workers`; for what "ray" takes see `embeddings.flow.engines.ray.OPTIONS`. Raises
        `UnknownName` for another engine or option, and `PackageMissing` where ray is not
        installed.
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
        made = type(self).__new__(type(self))
        made.__dict__.update({**self.__dict__, **attributes})
        return made


def at_least(least: int, **numbers: Any) -> None:
    """Raise `InputError` for what is no whole number, or one below."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, Integral) or number < least:
            raise InputError(f"{name} must be a whole number, {least} or more; not {number!r}.")


def _seed(seed: Any) -> int:
    """The seed, or one that is drawn now, so that every reading gives the same rows."""
    if seed is None:
        return secrets.randbits(64)
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise InputError(f"A seed is a whole number or None, not {seed!r}.")
    return int(seed)
