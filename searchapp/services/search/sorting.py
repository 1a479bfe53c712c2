"""Sorting of search results by size or date, with weak matches last.

The largest or newest of all pictures is rarely similar to the query, so weak matches follow all
others, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from searchapp.models import Image
from searchapp.services.filters.fields import seconds_of
from searchapp.services.search.cursors import Candidates, Place, ranked
from searchapp.services.search.types import Match, SearchRequest, Sort

_ORDERS: Mapping[Sort, Callable[[Image], float]] = {
    Sort.SIZE: lambda image: (image.width or 0) * (image.height or 0),
    Sort.DATE: lambda image: seconds_of(image.created),
}


def listed(
    candidates: Candidates, request: SearchRequest, line: float, decided: Collection[int]
) -> Candidates:
    """Return the requested page of `candidates`, which holds all of the best matches.

    A match is weak when it scores less than `line` and its key is not in `decided`. Both are the
    same on all pages: the cursor keeps them from the first one.
    """
    key = _ORDERS[request.sort]
    good = frozenset(candidates.cursor.good if candidates.cursor.cut else decided)

    def place_of(match: Match) -> Place:
        is_weak = match.score < line and match.image.pk not in good
        return (float(is_weak), 0.0 - key(match.image), -match.image.pk)

    places = {match.image.pk: place_of(match) for match in candidates.candidates}
    after = candidates.cursor.after
    ahead = sorted(
        (
            match
            for match in candidates.candidates
            if after is None or places[match.image.pk] > after
        ),
        key=lambda match: places[match.image.pk],
    )
    cursor = replace(candidates.cursor, good=tuple(sorted(good)))
    page = ranked(ahead[: request.top_k], cursor)
    return Candidates(page, cursor, places, len(ahead) > request.top_k, candidates.best)
