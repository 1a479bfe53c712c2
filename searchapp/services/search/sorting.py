"""Lists by size or by date: of the best matches, those above the cut-off first.

The largest of all pictures, or the last that came, is rarely like what was asked for: what is weak
comes after everything that is not, in the same order.
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
    found: Candidates, wanted: SearchRequest, line: float, decided: Collection[int]
) -> Candidates:
    """Return the page of `found`, all of the best matches, that `wanted` asks for.

    A match is weak that scores less than `line`, unless it is one of the images `decided`. Both
    are the same on all pages: the cursor has them from the first one.
    """
    key = _ORDERS[wanted.sort]
    good = frozenset(found.cursor.good if found.cursor.cut else decided)

    def place_of(match: Match) -> Place:
        is_weak = match.score < line and match.image.pk not in good
        return (float(is_weak), 0.0 - key(match.image), -match.image.pk)

    places = {match.image.pk: place_of(match) for match in found.candidates}
    after = found.cursor.after
    ahead = sorted(
        (match for match in found.candidates if after is None or places[match.image.pk] > after),
        key=lambda match: places[match.image.pk],
    )
    cursor = replace(found.cursor, good=tuple(sorted(good)))
    page = ranked(ahead[: wanted.top_k], cursor)
    return Candidates(page, cursor, places, len(ahead) > wanted.top_k, found.best)
