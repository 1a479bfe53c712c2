"""`Pipeline`: a graph pipeline, its builder methods, and calls for one or many rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from embeddings.errors import InputError, RecipeError, UnknownName
from embeddings.flow.graph import executor, serialization
from embeddings.flow.graph.steps import (
    Graph,
    Kind,
    Node,
    Step,
    check_finished,
    checked_node,
    columns,
    is_image_pipeline,
    node_name,
)
from embeddings.operators.bound import BoundOperator
from embeddings.recipes import Operator, Recipe

_KINDS = ("map", "flat_map", "filter", "window")

Columns = str | tuple[str, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Pipeline(Graph):
    """A graph of operators, functions and other pipelines over named columns.

    Start with `Pipeline.input`, add steps, end with `output`. Each call returns a new pipeline and
    leaves the old one unchanged, so that several can share a beginning. A finished pipeline is
    called with the inputs of one row; `batch` and `stream` take many rows. Thread-safe if its
    functions are; those run in several threads.

    A pipeline of `map` steps gives one result per row: the value of the output column, or a tuple
    for several columns. With `flat_map`, `filter` or `window` it gives a list of such results.
    """

    @classmethod
    def input(cls, *names: str) -> "Pipeline":
        """A pipeline with these input columns. Raises `RecipeError` when a name is invalid."""
        inputs = columns(names)
        return cls(inputs, {name: at for at, name in enumerate(inputs)}, (), inputs)

    def map(self, inputs: Columns, outputs: Columns, node: Node) -> "Pipeline":
        """Apply `node` to the `inputs` of each row and write the `outputs`.

        For several outputs the node returns a tuple or list of as many values. Raises `UnknownName`
        when a column does not exist, and `RecipeError` when `node` is not a valid node.
        """
        return self._with("map", inputs, outputs, node)

    def flat_map(self, inputs: Columns, outputs: Columns, node: Node) -> "Pipeline":
        """Replace each row by one row per item that `node` returns; other columns are repeated."""
        return self._with("flat_map", inputs, outputs, node)

    def filter(self, inputs: Columns, predicate: Node) -> "Pipeline":
        """Keep the rows for which `predicate` of the inputs is true."""
        return self._with("filter", inputs, (), predicate)

    def window(
        self, inputs: Columns, outputs: Columns, size: int, step: int, node: Node
    ) -> "Pipeline":
        """One row for each window of `size` rows from the same input, every `step` rows.

        `node` is called with a list of values for each input column. The last windows may be
        shorter. Other columns are those of the first row in the window.
        """
        for number in (size, step):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise RecipeError(f"A window's size and step must be 1 or more, not {number!r}.")
        return self._with("window", inputs, outputs, node, size=size, step=step)

    def concat(self, *others: "Pipeline") -> "Pipeline":
        """The columns of this pipeline and of others with the same inputs, side by side.

        Shared steps are computed once. Raises `RecipeError` when two branches have different
        columns of the same name, or when a `flat_map`, `filter` or `window` is not in all of them,
        so that their rows would not match.
        """
        joined = self
        for other in others:
            joined = joined._joined(other)
        return joined

    def output(self, *names: str) -> "Pipeline":
        """Finish the pipeline, with these output columns."""
        self._open()
        outputs = columns(names)
        for name in outputs:
            self._value(name)
        return replace(self, outputs=outputs)

    def __call__(self, *values: Any) -> Any:
        """The result for one row; its inputs are separate arguments.

        A list given to a pipeline with one input is many rows, as for `batch`. Raises what the
        nodes raise, with a note that names the node and the input, and `InputError` when the number
        of inputs is wrong.
        """
        check_finished(self)
        if len(self.inputs) == 1 and len(values) == 1 and isinstance(values[0], list):
            return self.batch(values[0])
        (outcome,) = executor.run(self, [self._row(values)], None)
        if isinstance(outcome, executor.Failure):
            raise outcome.error
        return outcome

    def batch(self, rows: Sequence[Any], *, errors: Literal["raise", "return"] = "raise") -> Any:
        """The results for many rows, as a list in order; see `stream`."""
        return list(self._stream(rows, 32, 4, errors, early=False))

    def stream(
        self,
        rows: Iterable[Any],
        *,
        chunk: int = 32,
        threads: int = 4,
        errors: Literal["raise", "return"] = "raise",
    ) -> Iterator[Any]:
        """Yield the results for many rows in order; `rows` is read lazily.

        A row is its input, or a tuple when the pipeline has several. Rows are run in chunks: nodes
        with batches receive a whole chunk, others run row by row in `threads` threads. Two chunks
        run at once, so that one is decoded while the other is in the model. Chunks grow (1 row,
        then at most 2, 4, ... up to `chunk`), and when nothing is running a row does not wait for
        others, so that the results of a slow iterable come soon. With `chunk=1` each result is
        yielded before the next row is read.

        The first error ends the stream after the results before it, unless `errors` is "return":
        then it takes the place of the result. What `rows` itself raises always ends the stream,
        after the results of all rows before.
        """
        return self._stream(rows, chunk, threads, errors, early=True)

    def _stream(
        self, rows: Iterable[Any], chunk: int, threads: int, errors: str, *, early: bool
    ) -> Iterator[Any]:
        check_finished(self)
        if chunk < 1 or threads < 1:
            raise InputError("chunk and threads must be 1 or more.")
        if errors not in ("raise", "return"):
            raise InputError(f"errors must be 'raise' or 'return', not {errors!r}.")
        inputs = self._taken(iter(rows))
        return executor.stream(self, inputs, chunk, threads, errors == "return", early)

    def _taken(self, rows: Iterator[Any]) -> Iterator[executor.Input]:
        """The inputs of each row; an error in the place of an invalid row, or at the end."""
        several = len(self.inputs) > 1
        try:
            for row in rows:
                yield self._checked(row if several else (row,))
        except Exception as error:  # of the iterable, which may raise anything
            yield executor.Failure(error, last=True)

    def _checked(self, values: Any) -> executor.Input:
        try:
            return self._row(values)
        except InputError as error:
            return executor.Failure(error)

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe of the pipeline as plain JSON types, for `from_recipe`.

        Raises `RecipeError`, naming the node, when one is a plain function.
        """
        return serialization.to_dict(self)

    @property
    def fingerprint(self) -> str:
        """SHA-256, 64 hex digits, of everything that determines the outputs.

        Column names, the order of independent steps, and unused steps do not count. A chain of
        operators from one input to one output has the fingerprint of the `Recipe` with these
        operators; an `ImagePipeline` counts as its operators. Raises `RecipeError` when a node is a
        function.
        """
        return serialization.fingerprint(self.recipe)

    def explain(self) -> str:
        """A readable list of the steps and their parameters."""
        return serialization.explain(self)

    @classmethod
    def from_recipe(
        cls, data: Mapping[str, Any] | Recipe, local: Mapping[str, Mapping[str, Any]] | None = None
    ) -> "Pipeline":
        """Create a pipeline from its `recipe`.

        A `Recipe`, or its dictionary, becomes the chain of its operators, from a column "picture"
        to a column "vector".

        `local` gives operators the parameters that recipes do not hold, by operator name:
        `{"image_decode.url": {"fetch": fetch}}`. Raises `RecipeError` when the recipe is malformed,
        and `UnknownName` when an operator does not exist.
        """
        return _from_graph(cls, serialization.graph_of(data), local or {})

    def __repr__(self) -> str:
        ends = ", ".join(self.outputs) if self.outputs else "(no output yet)"
        return f"<Pipeline {', '.join(self.inputs)} → {ends}, {len(self.steps)} steps>"

    def _with(
        self, kind: Kind, inputs: Columns, outputs: Columns, node: Node, **window: int
    ) -> "Pipeline":
        self._open()
        sources = columns(inputs)
        reads = tuple(self._value(name) for name in sources)
        targets = () if kind == "filter" else columns(outputs)
        name = node_name(checked_node(node))
        if isinstance(node, Pipeline):
            _fits(node, kind, sources, targets)
            name = f"pipeline {', '.join(node.inputs)} → {', '.join(node.outputs or ())}"
        elif is_image_pipeline(node) and (kind, len(sources), len(targets)) != ("map", 1, 1):
            raise RecipeError(f"{name} can only `map` one column to one.")
        count = len(self.value_names)
        writes = tuple(range(count, count + len(targets)))
        ends = f" → {', '.join(targets)}" if targets else ""
        label = f"{kind} {', '.join(sources)}{ends}: {name}"
        step = Step(kind, node, reads, writes, label, **window)
        return replace(
            self,
            columns={**self.columns, **dict(zip(targets, writes, strict=True))},
            steps=(*self.steps, step),
            value_names=(*self.value_names, *targets),
        )

    def _joined(self, other: "Pipeline") -> "Pipeline":
        self._open()
        if not isinstance(other, Pipeline) or other.inputs != self.inputs:
            raise RecipeError(
                f"concat joins pipelines with the same inputs, here {', '.join(self.inputs)}; "
                f"not {other!r}."
            )
        other._open()
        mine, theirs = (
            [step.origin for step in pipeline.steps if step.changes_rows]
            for pipeline in (self, other)
        )
        if mine != theirs:
            raise RecipeError(
                "Branches can be joined only where each flat_map, filter and window comes before "
                "they part; afterwards their rows would not fit together."
            )
        steps, names = list(self.steps), list(self.value_names)
        # Maps value numbers of the other pipeline to ours; inputs are the same.
        ours = {at: at for at in range(len(self.inputs))}
        known = {step.origin: step for step in steps}
        for step in other.steps:
            same = known.get(step.origin)
            if same is None:
                writes = tuple(range(len(names), len(names) + len(step.writes)))
                names += [other.value_names[at] for at in step.writes]
                same = step.renumbered(tuple(ours[at] for at in step.reads), writes)
                steps.append(same)
            ours |= dict(zip(step.writes, same.writes, strict=True))
        joined = dict(self.columns)
        for name, at in other.columns.items():
            if joined.setdefault(name, ours[at]) != ours[at]:
                raise RecipeError(
                    f"Both branches make a column {name!r}, and not the same one; give one of "
                    "them another name."
                )
        return replace(self, columns=joined, steps=tuple(steps), value_names=tuple(names))

    def _value(self, name: str) -> int:
        try:
            return self.columns[name]
        except KeyError:
            raise UnknownName("column", name, self.columns) from None

    def _row(self, values: Any) -> tuple[Any, ...]:
        if not isinstance(values, tuple | list) or len(values) != len(self.inputs):
            count = len(values) if isinstance(values, tuple | list) else 1
            raise InputError(
                f"This pipeline takes {len(self.inputs)} inputs a row "
                f"({', '.join(self.inputs)}), not {count}."
            )
        return tuple(values)

    def _open(self) -> None:
        if self.outputs is not None:
            raise RecipeError("This pipeline has its output; branch off before `output`.")


def _fits(node: Pipeline, kind: Kind, sources: tuple[str, ...], targets: tuple[str, ...]) -> None:
    """Raises `RecipeError` when a nested pipeline has other numbers of columns."""
    check_finished(node)
    if len(node.inputs) != len(sources):
        raise RecipeError(
            f"{node!r} takes {len(node.inputs)} columns, but is given {', '.join(sources)}."
        )
    if kind == "map" and not node.changes_rows and len(targets) not in (1, len(node.outputs or ())):
        raise RecipeError(f"{node!r} does not give as many columns as {', '.join(targets)}.")


def _from_graph(
    cls: type[Pipeline], data: Mapping[str, Any], local: Mapping[str, Mapping[str, Any]]
) -> Pipeline:
    """Create the pipeline of a graph recipe; see `Pipeline.from_recipe`."""
    try:
        pipeline = cls.input(*data["inputs"])
        for node in data["nodes"]:
            kind, inputs = node["kind"], tuple(node["inputs"])
            what: Any
            if "pipeline" in node:
                what = _from_graph(cls, node["pipeline"], local)
            else:
                item = node["operator"]
                operator = Operator.of(item["name"], item["version"], item["parameters"])
                what = BoundOperator.from_recipe(operator, local.get(operator.name))
            if kind == "filter":
                pipeline = pipeline.filter(inputs, what)
            elif kind == "window":
                outputs = tuple(node["outputs"])
                pipeline = pipeline.window(inputs, outputs, node["size"], node["step"], what)
            elif kind in _KINDS:
                pipeline = getattr(pipeline, kind)(inputs, tuple(node["outputs"]), what)
            else:
                raise RecipeError(f"A node is one of {', '.join(_KINDS)}, not {kind!r}.")
        return pipeline.output(*data["outputs"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecipeError(
            "A pipeline's recipe is an object with 'inputs', 'nodes' and 'outputs', each node "
            "with 'kind', 'inputs', 'outputs', and 'operator' or 'pipeline'; this one is not "
            f"({error!r})."
        ) from error
