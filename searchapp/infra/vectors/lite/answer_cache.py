"""Cache of the last search answers, valid until something is written to the collection.

A page that is loaded again, its next visitor and its look at more matches ask what has just been
answered. As long as nothing was written to the collection, the answer is the same.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple

Hits = list[tuple[int, float]]

# At most some 15 MB in all.
MAX_ANSWERS = 128
MAX_HITS = 1_100


class Moment(NamedTuple):
    """How often a collection had changed."""

    collection: Hashable
    changes: int


class AnswerCache:
    """The hits of recent searches, those of each collection until it changes.

    Whoever writes calls `changed` after the write and before it is acknowledged: nobody who knows
    of a write is answered with what was found before it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[tuple[Hashable, Hashable], Hits] = OrderedDict()
        self._changes: Counter[Hashable] = Counter()

    def moment(self, collection: Hashable) -> Moment:
        """Return what `of` is to be given: taken before anything of the collection is looked at."""
        with self._lock:
            return Moment(collection, self._changes[collection])

    def of(self, moment: Moment, question: Hashable, search: Callable[[], Hits]) -> Hits:
        """Return the answer that is remembered, or that of `search`, which is remembered unless the
        collection has changed since `moment`."""
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
        """Forget what was found in a collection."""
        with self._lock:
            self._changes[collection] += 1
            for key in [key for key in self._found if key[0] == collection]:
                del self._found[key]
