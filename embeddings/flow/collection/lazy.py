"""Lazy lookup data of steps, and the nodes of `search_vectors`, `select_from`, `group_by`."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from embeddings.errors import InputError
from embeddings.flow.collection.empty import shown
from embeddings.flow.collection.steps import values_of


class Held:
    """A value that is computed on first use, once for all threads. Pickled as computed."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make: Callable[[], Any] | None = make
        self._making = threading.Lock()
        self._value: Any = None

    def get(self) -> Any:
        """The value. Raises what computing it raises, each time."""
        with self._making:
            if self._make is not None:
                self._value = self._make()
                self._make = None
            return self._value

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self.get(),)


def _made(value: Any) -> Held:
    holder = Held(lambda: value)
    holder.get()
    return holder


class Search:
    """The node of `search_vectors`: nearest neighbours in lazily read vectors."""

    repeatable = True

    def __init__(self, searcher: Held) -> None:
        self._searcher = searcher

    def make_ready(self) -> None:
        """Read the vectors. Raises what reading them raises, which is not the error of a row."""
        self._searcher.get()

    def __call__(self, vector: Any) -> Any:
        return self._searcher.get()(vector)

    def batch(self, vectors: Sequence[Any]) -> Sequence[Any]:
        """The hits for each vector (D,)."""
        hits: Sequence[Any] = self._searcher.get().batch(vectors)
        return hits


class Keyed:
    """The node before `group_by`: maps a row to (key, row)."""

    def __init__(self, key: Callable[[Any], Any] | str) -> None:
        """`key` is a function of the row, or the name of a column."""
        self._key = key

    def __call__(self, row: Any) -> tuple[Any, Any]:
        """Raises `InputError` when the key is not hashable."""
        key = values_of(row, (self._key,))[0] if isinstance(self._key, str) else self._key(row)
        try:
            hash(key)
        except TypeError:
            raise InputError(
                f"A key must be hashable, such as text or a number; {shown(key)} is "
                f"{type(key).__name__}."
            ) from None
        return key, row


class Selection:
    """The node of `select_from`: maps positions to rows."""

    def __init__(self, rows: Held) -> None:
        self._rows = rows

    def make_ready(self) -> None:
        """Read the rows. Raises what reading them raises."""
        self._rows.get()

    def __call__(self, places: Any) -> Any:
        """The row at a position, or a list for several (a sequence, array (K,), or `Hits`).

        Raises `InputError` when a position is not an integer or is out of range.
        """
        from embeddings.flow.collection.vector_search import Hits  # imports numpy

        if isinstance(places, Hits):
            places = places.ids
        if isinstance(places, list | tuple) or (isinstance(places, np.ndarray) and places.ndim):
            return [self._at(place) for place in places]
        return self._at(places)

    def _at(self, place: Any) -> Any:
        rows = self._rows.get()
        if isinstance(place, np.ndarray) and place.ndim == 0:
            place = place[()]
        if isinstance(place, bool) or not isinstance(place, int | np.integer):
            raise InputError(
                "What is selected by are places, whole numbers from 0, one or a list of them; "
                f"not {shown(place)}."
            )
        if not 0 <= place < len(rows):
            raise InputError(f"There is no row {place}: there are {len(rows)}, counted from 0.")
        return rows[int(place)]
