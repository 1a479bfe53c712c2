"""Vector search: the images nearest to a vector that match a filter.

The filter is applied inside Milvus, so that a search for 20 returns 20 when 20 exist, however rare
they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import inf

import numpy as np

from searchapp.infra.vectors.errors import VectorsUnavailable
from searchapp.infra.vectors.store import get_store
from searchapp.models import Dataset, Image, ImageState, Index, IndexState
from searchapp.models.dataset import DatasetQuerySet
from searchapp.models.scalars import SCALAR_COLUMNS
from searchapp.services.errors import Unavailable
from searchapp.services.filters import scalar_sync
from searchapp.services.filters.expressions import expression, judge_of
from searchapp.services.search import cursors
from searchapp.services.search.cursors import Candidates, Cursor, Place, ranked
from searchapp.services.search.types import MAX_DATASETS, Match, SearchRequest, Sort

# Columns that a match shows; the others are deferred.
_SHOWN = ("name", "title", "metadata", "width", "height", "color", "sha256", "box")
# The depth of pagination, and how many of the best matches a list by size or date sorts.
MAX_DEPTH = 10_000
SORTED_AMONG = 1_000
BEST = 100  # best scores, from which the cut-off is computed
_SPARE = 8  # extra hits, because some may be deleted or no longer match
_ROWS_AT_ONCE = 5_000  # keys that fit into one statement on every database


def indexes_of(datasets: DatasetQuerySet | Sequence[Dataset]) -> list[Index]:
    """Return the active indexes of `datasets`, in one statement.

    At most `MAX_DATASETS + 1` are returned: enough for `SearchRequest` to refuse.
    """
    active = Index.objects.filter(state=IndexState.ACTIVE, dataset__in=datasets)
    return list(active.defer("recipe")[: MAX_DATASETS + 1])


def nearest(vector: np.ndarray, request: SearchRequest, least: int = 0) -> Candidates:
    """Return the best ready images: `top_k`, or `least` if that is more; for lists by size or date,
    all of the best.

    Vectors whose images were just deleted or no longer match the filter do not shorten the
    result: more hits are requested instead.

    Raises `Invalid` (`invalid_cursor`) when the cursor is not valid, and `Unavailable`
    (`vectors_unavailable`, `filters_not_ready`) when Milvus is down or filters are not ready.
    """
    cursor = cursors.read(request)
    if request.condition is not None:
        scalar_sync.require(request.indexes)
    hits = _Hits(vector, request)
    try:
        if request.sort != Sort.SIMILARITY:
            return _sorted(hits, request, cursor)
        return _by_similarity(hits, request, cursor, max(request.top_k, least))
    except VectorsUnavailable as error:
        raise vectors_unavailable() from error


def vectors_unavailable() -> Unavailable:
    return Unavailable(
        "vectors_unavailable",
        "The vector store (Milvus) cannot be reached. Please try again shortly.",
    )


class _Hits:
    """Hits from Milvus, best first, down to the requested depth, with their database rows."""

    def __init__(self, vector: np.ndarray, request: SearchRequest) -> None:
        self._vector = vector
        self._wanted = request
        condition = request.condition
        self._expression = None if condition is None else expression(condition)
        self._holds = None if condition is None else judge_of(condition)
        filtered = SCALAR_COLUMNS if condition is not None else ()
        dated = ("created",) if request.sort == Sort.DATE else ()
        self._columns = tuple(dict.fromkeys((*_SHOWN, *filtered, *dated)))
        self._rows: dict[int, Image | None] = {}
        self._asked = 0
        self.places: dict[int, Place] = {}  # by image, in order
        self.is_all = False  # there are no further hits

    def ask(self, depth: int) -> None:
        """Fetch `depth` hits, at most `MAX_DEPTH`. Raises `VectorsUnavailable` when Milvus is
        down."""
        depth = min(depth, MAX_DEPTH)
        if depth <= self._asked or self.is_all:
            return
        merged: list[tuple[float, int]] = []
        # In a collection with more hits, the order is uncertain from the score of the last hit on:
        # others with the same score and smaller keys may be missing.
        edge = inf
        for index in self._wanted.indexes:
            hits = get_store().search(index.collection, self._vector, depth, self._expression)
            # Compare the rounded scores that are shown; `0.0 -` avoids a negative zero.
            places = [(0.0 - round(max(-1.0, min(1.0, h.score)), 6), h.image_id) for h in hits]
            if len(hits) == depth and depth < MAX_DEPTH:
                edge = min(edge, places[-1][0])
            merged += places
        merged = sorted(place for place in merged if place[0] < edge)
        complete = depth == MAX_DEPTH or (edge == inf and len(merged) <= depth)
        del merged[depth:]  # read no more rows for several datasets than for one
        if self._wanted.min_score is not None:
            good = [place for place in merged if -place[0] >= self._wanted.min_score]
            complete = complete or len(good) < len(merged)
            merged = good
        self.is_all = complete
        self._asked = depth
        self.places = {key: (minus, key) for minus, key in merged}

    def deeper(self) -> None:
        self.ask(2 * self._asked)

    def images(self, keys: Iterable[int]) -> dict[int, Image]:
        """Return the images of `keys` that are ready and whose current rows match the filter. Each
        row is read once."""
        requested = list(keys)
        missing = [key for key in requested if key not in self._rows]
        for start in range(0, len(missing), _ROWS_AT_ONCE):
            part = missing[start : start + _ROWS_AT_ONCE]
            ready = Image.objects.filter(pk__in=part, state=ImageState.READY).order_by()
            rows = {image.pk: image for image in ready.only(*self._columns)}
            for key in part:
                image = rows.get(key)
                self._rows[key] = image if image is not None and self._passes(image) else None
        by_key = {key: self._rows[key] for key in requested}
        return {key: image for key, image in by_key.items() if image is not None}

    def _passes(self, image: Image) -> bool:
        return self._holds is None or self._holds(image)

    def match(self, image: Image, copies: int = 0) -> Match:
        return Match(0, 0.0 - self.places[image.pk][0], image, copies=copies)

    @property
    def best(self) -> list[float]:
        return [0.0 - minus for minus, _ in list(self.places.values())[:BEST]]


def _by_similarity(hits: _Hits, request: SearchRequest, cursor: Cursor, number: int) -> Candidates:
    beyond = set(cursor.beyond)
    hits.ask(cursor.shown + number + _SPARE)
    while True:
        ahead = [
            key
            for key, place in hits.places.items()
            if (cursor.after is None or place > cursor.after) and key not in beyond
        ]
        if request.collapse:
            distinct, copies = _collapsed(hits)
            there = [key for key in ahead if key in distinct][: number + 1]
        else:
            copies, there = Counter(), _first(hits, ahead, number + 1)
        if len(there) > number or hits.is_all:
            break
        hits.deeper()
    images = hits.images(there)
    matches = [hits.match(images[key], copies[key]) for key in there[:number]]
    return Candidates(ranked(matches, cursor), cursor, hits.places, len(there) > number, hits.best)


def _first(hits: _Hits, keys: Sequence[int], number: int) -> list[int]:
    """Return the first `number` of `keys` whose images match, reading few rows beyond."""
    there: list[int] = []
    for start in range(0, len(keys), number):
        there += hits.images(keys[start : start + number])
        if len(there) >= number:
            break
    return there[:number]


def _collapsed(hits: _Hits) -> tuple[dict[int, Image], Counter[int]]:
    """Return the first hit of each distinct picture, and the number of its copies by key."""
    distinct: dict[int, Image] = {}
    copies: Counter[int] = Counter()
    first: dict[str, int] = {}
    for key, image in hits.images(hits.places).items():
        before = first.setdefault(image.thumbnail_key, key)
        if before == key:
            distinct[key] = image
        else:
            copies[before] += 1
    return distinct, copies


def _deepest(hits: _Hits) -> Place:
    """Return the place of the last hit; `(-inf,)` when there are no certain hits."""
    return next(reversed(hits.places.values()), (-inf,))


def _sorted(hits: _Hits, request: SearchRequest, cursor: Cursor) -> Candidates:
    """Return all of the best matches, for `sorting.listed` to choose a page from: the same ones on
    each page, and new images that score as high."""
    hits.ask(SORTED_AMONG + _SPARE)
    while not hits.is_all and (
        len(hits.images(hits.places)) < SORTED_AMONG
        if cursor.least is None
        else _deepest(hits) <= cursor.least
    ):
        hits.deeper()
    images = hits.images(hits.places)
    if cursor.least is None:
        images = dict(list(images.items())[:SORTED_AMONG])
        cursor = replace(cursor, least=hits.places[next(reversed(images))] if images else None)
    else:
        least = cursor.least
        images = {key: image for key, image in images.items() if hits.places[key] <= least}
    copies: Counter[int] = Counter()
    if request.collapse:
        distinct, copies = _collapsed(hits)
        images = {key: image for key, image in images.items() if key in distinct}
    matches = [hits.match(image, copies[key]) for key, image in images.items()]
    return Candidates(matches, cursor, hits.places, False, hits.best)
