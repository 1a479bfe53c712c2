"""Pagination cursors of search results: no match is repeated or skipped between pages.

A cursor holds the place in the list up to which everything has been shown, and the matches shown
beyond it (those that were raised). Places are scores and keys, not offsets, so new images do not
shift a page. A cursor is signed and valid for one search only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from django.core import signing

from searchapp.services.errors import Invalid
from searchapp.services.search.cutoff import Cut
from searchapp.services.search.types import Cutoff, Match, SearchRequest

_SALT = "lookalike.search.cursor"
_MAX_CURSOR_LENGTH = 16_384  # characters
# A place in ascending order. By similarity: minus the score, then the key. By size or date:
# whether the match is weak, minus its size or date, then minus the key.
Place = tuple[float, ...]


@dataclass(frozen=True)
class Cursor:
    """How much of a result list has been shown."""

    shown: int = 0  # matches, on all pages so far
    after: Place | None = None  # everything up to here
    beyond: tuple[int, ...] = ()  # images shown before their turn
    least: Place | None = None  # of a sorted list: the last match that is sorted
    cut: Cut | None = None  # the cut-off computed on the first page
    good: tuple[int, ...] = ()  # of a sorted list: images never weak, whatever their score


def read(request: SearchRequest) -> Cursor:
    """Return the cursor that `request` continues from.

    Raises `Invalid` (`invalid_cursor`) when the signature is wrong or the cursor belongs to
    another search.
    """
    if not request.after:
        return Cursor()
    try:
        if len(request.after) > _MAX_CURSOR_LENGTH:
            raise signing.BadSignature
        question, shown, after, beyond, least, cut, good = signing.loads(request.after, salt=_SALT)
    except (signing.BadSignature, ValueError):
        raise Invalid(
            "invalid_cursor", "after must be the `next` of an answer, exactly as it was given."
        ) from None
    if question != _question(request):
        raise Invalid(
            "invalid_cursor",
            "This cursor is of another search: send it with the filter, order, min_score and "
            "pipeline of the answer that had it.",
        )
    return Cursor(
        shown, _place(after), tuple(beyond), _place(least), cut and Cut(*cut), tuple(good)
    )


def write(request: SearchRequest, cursor: Cursor) -> str:
    """Return the cursor as signed text."""
    cut = cursor.cut and astuple(cursor.cut)
    places = cursor.after, cursor.beyond, cursor.least
    data = [_question(request), cursor.shown, *places, cut, cursor.good]
    return signing.dumps(data, salt=_SALT, compress=True)


def _place(value: Any) -> Place | None:
    return None if value is None else tuple(value)


def _question(request: SearchRequest) -> str:
    """Digest of what must be equal on all pages; datasets and `top_k` may change."""
    condition = request.condition.to_json() if request.condition is not None else None
    parts = [request.fingerprint, condition, str(request.sort), request.collapse, request.min_score]
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=9).hexdigest()


@dataclass(frozen=True)
class Candidates:
    """Matches after a cursor, in list order: enough to choose a page from.

    `places` holds the places of the candidates and, where known, of the cursor's `beyond`.
    """

    candidates: Sequence[Match]
    cursor: Cursor
    places: dict[int, Place]
    more: bool  # whether others come after the candidates
    best: Sequence[float]  # the best scores of the whole list, descending

    def next(self, request: SearchRequest, shown: Sequence[Match], cutoff: Cutoff) -> str:
        """Return the cursor of the page after the one that shows `shown`, a subset of the
        candidates in any order. It is empty when nothing is left."""
        keys = {match.image.pk for match in shown}
        left = [match for match in self.candidates if match.image.pk not in keys]
        if not shown or not (left or self.more):
            return ""
        after = self.cursor.after
        for match in self.candidates:
            if match.image.pk not in keys:
                break
            after = self.places[match.image.pk]
        beyond = [
            key
            for key in dict.fromkeys((*self.cursor.beyond, *keys))
            if after is None or key not in self.places or self.places[key] > after
        ]
        number = self.cursor.shown + len(shown)
        cut = Cut(cutoff.score, cutoff.reason, cutoff.nothing)
        cursor = replace(self.cursor, shown=number, after=after, beyond=tuple(beyond), cut=cut)
        return write(request, cursor)


def ranked(matches: Sequence[Match], cursor: Cursor) -> list[Match]:
    """Set the ranks of the matches of a page."""
    return [replace(one, rank=rank) for rank, one in enumerate(matches, start=cursor.shown + 1)]
