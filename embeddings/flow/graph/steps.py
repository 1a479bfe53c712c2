"""One step of a graph pipeline, and what may be a node of one."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, Union

from embeddings.errors import RecipeError
from embeddings.operators.bound import BoundOperator
from embeddings.ops import Implementation

if TYPE_CHECKING:
    from embeddings.flow.graph.pipeline import Pipeline
    from embeddings.flow.picture_pipeline import PicturePipeline
    from embeddings.pipelines import ImagePipeline

Kind = Literal["map", "flat_map", "filter", "window"]
Node = Union[Callable[..., Any], BoundOperator, "Pipeline"]


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


def is_pipeline(node: Any) -> "TypeGuard[Pipeline]":
    """Whether a node is itself a graph pipeline."""
    from embeddings.flow.graph.pipeline import Pipeline  # which is built from steps

    return isinstance(node, Pipeline)


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
