"""Operators as methods of a collection: `dc.image_decode.pillow["path", "image"]()`."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from embeddings.errors import InputError
from embeddings.ops import Implementation, Task

Collection = TypeVar("Collection")


class OperatorTask(Generic[Collection]):
    """The implementations of one task, as steps of a collection.

    `add` is the `map` method of the collection: it takes a node and its input and output columns,
    and returns the collection with that step appended.
    """

    def __init__(self, add: Callable[[Any, Any, Any], Collection], task: Task) -> None:
        self._add = add
        self._task = task

    def __getattr__(self, name: str) -> "OperatorStep[Collection]":
        """Raises an error that is both `UnknownName` and `AttributeError` when there is none."""
        return OperatorStep(self._add, getattr(self._task, name))

    def __dir__(self) -> list[str]:
        return dir(self._task)

    def __repr__(self) -> str:
        return repr(self._task)


class OperatorStep(Generic[Collection]):
    """One implementation. Call it with the parameters of the operator to append the step."""

    def __init__(
        self,
        add: Callable[[Any, Any, Any], Collection],
        implementation: Implementation,
        inputs: Any = None,
        outputs: Any = None,
    ) -> None:
        self._add = add
        self._implementation = implementation
        self._columns = inputs, outputs

    def __getitem__(self, columns: Any) -> "OperatorStep[Collection]":
        """The same with columns: `["path", "image"]` reads "path" and writes "image".

        Either may be a tuple. Raises `InputError` when there are not exactly two.
        """
        if not isinstance(columns, tuple) or len(columns) != 2:
            raise InputError(
                "An operator takes two columns, the one that it reads and the one that it writes: "
                f'["path", "image"]; not {columns!r}.'
            )
        return OperatorStep(self._add, self._implementation, *columns)

    def __call__(self, *arguments: Any, **keywords: Any) -> Collection:
        """The collection with the newest version of the operator appended.

        Raises what the operator's constructor raises, such as `RecipeError` for invalid parameters.
        """
        return self._add(self._implementation(*arguments, **keywords), *self._columns)

    def __repr__(self) -> str:
        return repr(self._implementation)
