"""The steps of a graph pipeline, the graph that they form, and what may be a node."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, Union

from embeddings.errors import RecipeError
from embeddings.operators.bound import BoundOperator
from embeddings.ops import Implementation

if TYPE_CHECKING:
    from embeddings.flow.picture_pipeline import PicturePipeline
    from embeddings.pipelines import ImagePipeline

Kind = Literal["map", "flat_map", "filter", "window"]
Node = Union[Callable[..., Any], BoundOperator, "Graph"]


@dataclass(frozen=True, eq=False)
class Step:
    """A node at work: which values it reads and writes, by their numbers in the pipeline.

    A column that is written again is a new value, so that branches never disturb each other.
    `origin` is one object for all renumbered copies of a step. `size` and `step` are those of
    a window, 0 elsewhere.
    """

    kind: Kind
    node: Node
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    label: str
    size: int = 0
    step: int = 0
    origin: object = field(default_factory=object)

    @property
    def changes_rows(self) -> bool:
        """Whether there may be more or fewer rows after it than before."""
        return self.kind != "map"

    def renumbered(self, reads: tuple[int, ...], writes: tuple[int, ...]) -> "Step":
        """The same step with other values."""
        return replace(self, reads=reads, writes=writes)


@dataclass(frozen=True, eq=False, repr=False)
class Graph(ABC):
    """The columns and steps of a graph pipeline: what `Pipeline` builds and runs.

    `columns` says which value each column is now, by its number; `value_names` has the name of
    every value, those of the inputs first. `outputs` is None until the pipeline is finished.
    """

    inputs: tuple[str, ...]
    columns: Mapping[str, int]
    steps: tuple[Step, ...] = ()
    value_names: tuple[str, ...] = ()
    outputs: tuple[str, ...] | None = None

    @abstractmethod
    def __call__(self, *values: Any) -> Any:
        """The result for one row; its inputs are separate arguments."""

    @property
    def changes_rows(self) -> bool:
        """Whether results are lists of rows."""
        return any(step.changes_rows for step in self.steps)


def check_finished(graph: Graph) -> None:
    """Raise `RecipeError` for a pipeline that has no output yet."""
    if graph.outputs is None:
        raise RecipeError(
            "This pipeline has no output yet; end it with `.output(...)`, one or more of "
            f"{', '.join(graph.columns)}."
        )


def checked_node(node: Any) -> Any:
    """The node, if it can be one. Raises `RecipeError`."""
    if isinstance(node, Implementation):
        raise RecipeError(f"{node.name} is not called yet: write ops.{node.name}(...).")
    if not callable(node):
        raise RecipeError(
            "A node must be an operator, a pipeline or a function; not "
            f"{type(node).__name__} {node!r}."
        )
    return node


def is_pipeline(node: Any) -> TypeGuard[Graph]:
    """Whether a node is itself a graph pipeline."""
    return isinstance(node, Graph)


def is_image_pipeline(node: Any) -> "TypeGuard[ImagePipeline]":
    """Whether a node is what `embeddings.pipeline(...)` gives."""
    from embeddings.pipelines import ImagePipeline  # only where graphs are used

    return isinstance(node, ImagePipeline)


def is_picture_pipeline(node: Any) -> "TypeGuard[PicturePipeline[Any]]":
    """Whether a node is an `ImagePipeline`, or another that takes pictures by a recipe."""
    from embeddings.flow.picture_pipeline import PicturePipeline  # only where graphs are used

    return isinstance(node, PicturePipeline)


def node_name(node: Any) -> str:
    """What messages call a node."""
    if isinstance(node, BoundOperator):
        return node.name
    name = getattr(node, "__qualname__", None)
    return name if isinstance(name, str) else repr(node)


def columns(names: Any) -> tuple[str, ...]:
    """One column or a tuple of them as a tuple. Raises `RecipeError`."""
    found = (names,) if isinstance(names, str) else names
    if (
        not isinstance(found, tuple | list)
        or not found
        or not all(isinstance(name, str) and name for name in found)
        or len(set(found)) != len(found)
    ):
        raise RecipeError(f"Columns are a name or a tuple of different names, not {names!r}.")
    return tuple(found)
