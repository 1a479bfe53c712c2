"""`Source`: the rows of a collection, read from the beginning as often as possible."""

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from functools import partial
from typing import Any

from embeddings.errors import InputError


class Source:
    """Rows that can be read from the beginning, more than once unless they are an iterator.

    `label` describes them.
    """

    def __init__(self, rows: Any, label: str | None = None) -> None:
        """Raises `InputError` when `rows` is not iterable."""
        if not isinstance(rows, Iterable):
            try:
                iter(rows)  # the older protocol, __getitem__
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
        """The number of rows, or None when unknown."""
        return len(self._rows) if isinstance(self._rows, Sized) else None

    @contextlib.contextmanager
    def reading(self) -> Iterator[Iterator[Any]]:
        """The rows from the beginning.

        Raises `InputError` when they are an iterator that was read already.
        """
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
    """An iterable that calls `reader` each time it is iterated."""

    def __init__(self, reader: Callable[..., Iterator[Any]], *arguments: Any, **named: Any) -> None:
        """Raises what the reader raises at the call, such as for a missing file."""
        self._make: Callable[[], Iterator[Any]] = partial(reader, *arguments, **named)
        self._make()

    def __iter__(self) -> Iterator[Any]:
        return self._make()


@contextlib.contextmanager
def _iterating(rows: Iterable[Any]) -> Iterator[Iterator[Any]]:
    """An iterator over the rows, closed with its threads and files after the block.

    An iterator that the caller created is left open.
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
