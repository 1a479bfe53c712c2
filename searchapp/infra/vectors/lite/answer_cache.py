"""Cache of recent search results, valid until something is written to the collection.

The same search is repeated when a page is reloaded, opened by another visitor, or asked for more
matches. Until something is written to the collection, its results are the same.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple

Hits = list[tuple[int, float]]

# At most about 15 MB in total.
MAX_ANSWERS = 128
MAX_HITS = 1_100


class Moment(NamedTuple):
    """The number of changes to a collection at a moment."""

    collection: Hashable
    changes: int


class AnswerCache:
    """The hits of recent searches, cached until their collection changes.

    A writer must call `changed` after the write and before it is acknowledged. Then a search that
    starts after the acknowledgement never gets hits from before the write.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[tuple[Hashable, Hashable], Hits] = OrderedDict()
        self._changes: Counter[Hashable] = Counter()

    def moment(self, collection: Hashable) -> Moment:
        """Return the moment to pass to `of`. Call it before reading anything of the collection."""
        with self._lock:
            return Moment(collection, self._changes[collection])

    def of(self, moment: Moment, question: Hashable, search: Callable[[], Hits]) -> Hits:
        """Return the cached hits, or those of `search`.

        The latter are cached unless the collection has changed since `moment`.
        """
        key = (moment.collection, question)
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        hits = search()
        with self._lock:
            if moment.changes == self._changes[moment.collection] and len(hits) <= MAX_HITS:
                self._found[key] = hits
                while len(self._found) > MAX_ANSWERS:
                    self._found.popitem(last=False)
        return hits

    def changed(self, collection: Hashable) -> None:
        """Discard the cached hits of a collection."""
        with self._lock:
            self._changes[collection] += 1
            for key in [key for key in self._found if key[0] == collection]:
                del self._found[key]
