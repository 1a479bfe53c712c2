"""Operators as methods of a collection: `dc.image_decode.pillow["path", "image"]()`."""

from typing import TYPE_CHECKING, Any

from embeddings.errors import InputError
from embeddings.ops import Implementation, Task

if TYPE_CHECKING:
    from embeddings.flow.collection.data_collection import DataCollection


class OperatorTask:
    """The implementations of one task, as steps of a collection."""

    def __init__(self, collection: "DataCollection", task: Task) -> None:
        self._collection = collection
        self._task = task

    def __getattr__(self, name: str) -> "OperatorStep":
        """Raises an error that is both `UnknownName` and AttributeError."""
        return OperatorStep(self._collection, getattr(self._task, name))

    def __dir__(self) -> list[str]:
        return dir(self._task)

    def __repr__(self) -> str:
        return repr(self._task)


class OperatorStep:
    """One implementation; call it with the operator's parameters for the collection behind it."""

    def __init__(
        self,
        collection: "DataCollection",
        implementation: Implementation,
        inputs: Any = None,
        outputs: Any = None,
    ) -> None:
        self._collection = collection
        self._implementation = implementation
        self._columns = inputs, outputs

    def __getitem__(self, columns: Any) -> "OperatorStep":
        """The same with columns: `["path", "image"]` reads the one and writes the other.

        Either may be a tuple. Raises `InputError` for another number than two.
        """
        if not isinstance(columns, tuple) or len(columns) != 2:
            raise InputError(
                "An operator takes two columns, the one that it reads and the one that it writes: "
                f'["path", "image"]; not {columns!r}.'
            )
        return OperatorStep(self._collection, self._implementation, *columns)

    def __call__(self, *arguments: Any, **keywords: Any) -> "DataCollection":
        """The collection behind the operator, in its newest version.

        Raises what making the operator raises, such as `RecipeError` for wrong parameters.
        """
        return self._collection.map(self._implementation(*arguments, **keywords), *self._columns)

    def __repr__(self) -> str:
        return repr(self._implementation)
