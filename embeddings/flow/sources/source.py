"""Where the rows of a collection come from, again and again where that is possible."""

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from functools import partial
from typing import Any

from embeddings.errors import InputError


class Source:
    """Rows that can be read from their beginning, more than once unless they are an iterator's.

    `label` says in words what they are.
    """

    def __init__(self, rows: Any, label: str | None = None) -> None:
        """Raises `InputError` for what is no iterable."""
        if not isinstance(rows, Iterable):
            try:
                iter(rows)  # the older protocol, by places
            except TypeError:
                raise InputError(
                    f"A collection is made of an iterable, such as a list; not of "
                    f"{type(rows).__name__}."
                ) from None
        self.label = _label(rows) if label is None else label
        self._rows = rows
        self._used = False

    @property
    def count(self) -> int | None:
        """How many rows there are, where that is known."""
        return len(self._rows) if isinstance(self._rows, Sized) else None

    @contextlib.contextmanager
    def reading(self) -> Iterator[Iterator[Any]]:
        """The rows from the beginning. Raises `InputError` for an iterator that was read."""
        if isinstance(self._rows, Iterator):
            if self._used:
                raise InputError(
                    f"This collection reads {self.label}, which can be read only once; make it of "
                    "a list, or keep its rows with to_list()."
                )
            self._used = True
        with _iterating(self._rows) as rows:
            yield rows


class Again:
    """An iterable that calls a reader anew each time it is iterated."""

    def __init__(self, reader: Callable[..., Iterator[Any]], *arguments: Any, **named: Any) -> None:
        """Raises what the reader raises at once, such as for a file that is not there."""
        self._make: Callable[[], Iterator[Any]] = partial(reader, *arguments, **named)
        self._make()

    def __iter__(self) -> Iterator[Any]:
        return self._make()


@contextlib.contextmanager
def _iterating(rows: Iterable[Any]) -> Iterator[Iterator[Any]]:
    """An iterator over the rows, which is ended with its threads and files behind the block.

    One that the caller has made is left open.
    """
    iterator = iter(rows)
    try:
        yield iterator
    finally:
        if iterator is not rows and isinstance(iterator, Generator):
            iterator.close()


def _label(rows: Any) -> str:
    if isinstance(rows, range) or hasattr(rows, "to_list"):
        return repr(rows)
    count = f" of {len(rows)}" if isinstance(rows, Sized) else ""
    return f"{type(rows).__name__}{count}"
