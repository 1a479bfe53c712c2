"""Steps, graph and valid nodes of graph pipelines."""

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
    """A node with the values that it reads and writes, by their numbers in the pipeline.

    A column that is overwritten is a new value, so that branches do not affect each other. `origin`
    is one object shared by all renumbered copies of a step. `size` and `step` are those of a
    window, else 0.
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
        """Whether it may change the number of rows."""
        return self.kind != "map"

    def renumbered(self, reads: tuple[int, ...], writes: tuple[int, ...]) -> "Step":
        """The same step with other value numbers."""
        return replace(self, reads=reads, writes=writes)


@dataclass(frozen=True, eq=False, repr=False)
class Graph(ABC):
    """The columns and steps of a graph pipeline: the base of `Pipeline`.

    `columns` maps each column to the number of its current value; `value_names` has the name of
    every value, inputs first. `outputs` is None until the pipeline is finished.
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
    """Raises `RecipeError` when the pipeline has no output yet."""
    if graph.outputs is None:
        raise RecipeError(
            "This pipeline has no output yet; end it with `.output(...)`, one or more of "
            f"{', '.join(graph.columns)}."
        )


def checked_node(node: Any) -> Any:
    """Return the node. Raises `RecipeError` when it is not a valid one."""
    if isinstance(node, Implementation):
        raise RecipeError(f"{node.name} is not called yet: write ops.{node.name}(...).")
    if not callable(node):
        raise RecipeError(
            "A node must be an operator, a pipeline or a function; not "
            f"{type(node).__name__} {node!r}."
        )
    return node


def is_pipeline(node: Any) -> TypeGuard[Graph]:
    """Whether a node is a graph pipeline."""
    return isinstance(node, Graph)


def is_image_pipeline(node: Any) -> "TypeGuard[ImagePipeline]":
    """Whether a node is an image pipeline (`embeddings.pipeline(...)`)."""
    from embeddings.pipelines import ImagePipeline  # imported only when needed

    return isinstance(node, ImagePipeline)


def is_picture_pipeline(node: Any) -> "TypeGuard[PicturePipeline[Any]]":
    """Whether a node is an `ImagePipeline`, or another pipeline for pictures by a recipe."""
    from embeddings.flow.picture_pipeline import PicturePipeline  # imported only when needed

    return isinstance(node, PicturePipeline)


def node_name(node: Any) -> str:
    """The name of a node in messages."""
    if isinstance(node, BoundOperator):
        return node.name
    name = getattr(node, "__qualname__", None)
    return name if isinstance(name, str) else repr(node)


def columns(names: Any) -> tuple[str, ...]:
    """Column names as a tuple. Raises `RecipeError` when one is invalid."""
    column_names = (names,) if isinstance(names, str) else names
    if (
        not isinstance(column_names, tuple | list)
        or not column_names
        or not all(isinstance(name, str) and name for name in column_names)
        or len(set(column_names)) != len(column_names)
    ):
        raise RecipeError(f"Columns are a name or a tuple of different names, not {names!r}.")
    return tuple(column_names)
