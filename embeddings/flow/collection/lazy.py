"""What a step looks things up in: made at first need, once, however many threads ask."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from embeddings.errors import InputError
from embeddings.flow.collection.empty import shown
from embeddings.flow.collection.steps import values_of


class Held:
    """A value that is made when it is first asked for. Travels to other processes made."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make: Callable[[], Any] | None = make
        self._making = threading.Lock()
        self._value: Any = None

    def get(self) -> Any:
        """The value. Raises what making it raises, each time."""
        with self._making:
            if self._make is not None:
                self._value = self._make()
                self._make = None
            return self._value

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self.get(),)


def _made(value: Any) -> Held:
    held = Held(lambda: value)
    held.get()
    return held


class Search:
    """The node of `search_vectors`: nearest neighbours in vectors that are held."""

    repeatable = True

    def __init__(self, searcher: Held) -> None:
        self._searcher = searcher

    def make_ready(self) -> None:
        """Read the vectors. Raises what that raises, which is no row's fault."""
        self._searcher.get()

    def __call__(self, vector: Any) -> Any:
        return self._searcher.get()(vector)

    def batch(self, vectors: Sequence[Any]) -> Sequence[Any]:
        """The hits for each vector (D,)."""
        hits: Sequence[Any] = self._searcher.get().batch(vectors)
        return hits


class Keyed:
    """The node before `group_by`: a row to its key and itself."""

    def __init__(self, key: Callable[[Any], Any] | str) -> None:
        """`key` is a function of the row, or a column."""
        self._key = key

    def __call__(self, row: Any) -> tuple[Any, Any]:
        """Raises `InputError` for a key that cannot be one."""
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
    """The node of `select_from`: places to the rows at them."""

    def __init__(self, rows: Held) -> None:
        self._rows = rows

    def make_ready(self) -> None:
        """Read the rows. Raises what that raises."""
        self._rows.get()

    def __call__(self, places: Any) -> Any:
        """The row at a place, or a list of those at several (a sequence, array (K,), or `Hits`).

        Raises `InputError` for what is no place, and for one outside.
        """
        from embeddings.flow.collection.vector_search import Hits  # numpy, where rows are selected

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
