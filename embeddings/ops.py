"""Operators as attributes: `ops.image_decode.pillow()`, `ops.normalize.l2()`.

`dir(ops)` lists the tasks and `dir(ops.image_decode)` the implementations, including those of
other installed packages. Calling an implementation returns a `BoundOperator`: cheap to create,
callable on one value, and usable as a node of a `Pipeline`.
"""

from typing import Any

from embeddings.errors import UnknownOperator
from embeddings.operators import registry
from embeddings.operators.bound import BoundOperator


class Implementation:
    """One implementation of a task; call it with the operator's parameters."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *arguments: Any, **keywords: Any) -> BoundOperator:
        """Return the operator in its newest version. Raises what `BoundOperator` raises."""
        return BoundOperator(self.name, registry.newest(self.name), arguments, keywords)

    def __repr__(self) -> str:
        return f"<operator {self.name}: call it with its parameters>"


class Task:
    """The implementations of one task, as attributes."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Implementation:
        """Raises an error that is both `UnknownName` and AttributeError."""
        if name.startswith("_"):  # copy and pickle probe these before `__init__` has run
            raise AttributeError(name)
        known = _tasks().get(self._name, ())
        if name not in known:
            raise UnknownOperator(f"operator for {self._name}", name, known)
        return Implementation(f"{self._name}.{name}")

    def __dir__(self) -> list[str]:
        return sorted(_tasks().get(self._name, ()))

    def __repr__(self) -> str:
        return f"<task {self._name}: {', '.join(dir(self))}>"


def _tasks() -> dict[str, list[str]]:
    tasks: dict[str, list[str]] = {}
    for name in registry.names():
        task, _, implementation = name.partition(".")
        tasks.setdefault(task, []).append(implementation)
    return tasks


def __getattr__(name: str) -> Task:
    known = _tasks()
    if name not in known:
        raise UnknownOperator("task", name, known)
    return Task(name)


def __dir__() -> list[str]:
    return sorted(_tasks())
