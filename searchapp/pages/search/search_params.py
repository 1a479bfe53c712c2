"""The URL parameters of a search page, which hold all of its state."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

from searchapp.pages.pagination import key_of
from searchapp.services.errors import ServiceError
from searchapp.services.filters import Condition, query_string
from searchapp.services.search import Box, parse_box
from searchapp.services.search.types import Sort

STEPS = (20, 50, 100, 200)
GRID, LIST = "grid", "list"
# Anything longer is not a cursor.
_MAX_CURSOR_LENGTH = 20_000


@dataclass(frozen=True)
class SearchParams:
    """The state of a results page; `path` is its URL without parameters."""

    path: str
    image: int | None = None  # id of the stored image that is searched with
    datasets: tuple[str, ...] = ()  # slugs; empty: all
    box: Box | None = None
    condition: Condition | None = None
    sort: Sort = Sort.SIMILARITY
    once: bool = False  # show each image once, not its duplicates
    layout: str = GRID
    number: int = STEPS[0]
    floor: float | None = None  # the visitor's cut-off, a score
    weak: bool = False  # show weak matches
    after: str = ""

    def pairs(self) -> list[tuple[str, str]]:
        """Return the parameters, without those that have their default."""
        pairs: list[tuple[str, str]] = []
        if self.image is not None:
            pairs.append(("image", str(self.image)))
        pairs += [("dataset", slug) for slug in self.datasets]
        if self.box is not None:
            pairs.append(("box", str(self.box)))
        pairs += query_string.write(self.condition)
        if self.sort != Sort.SIMILARITY:
            pairs.append(("sort", str(self.sort)))
        if self.once:
            pairs.append(("once", "1"))
        if self.layout != GRID:
            pairs.append(("view", self.layout))
        if self.number != STEPS[0]:
            pairs.append(("k", str(self.number)))
        if self.floor is not None:
            pairs.append(("floor", f"{self.floor:.2f}"))
        if self.weak:
            pairs.append(("weak", "1"))
        if self.after:
            pairs.append(("after", self.after))
        return pairs

    @property
    def link(self) -> str:
        parameters = urlencode(self.pairs(), safe=",")
        return f"{self.path}?{parameters}" if parameters else self.path

    def but(self, **changes: Any) -> SearchParams:
        """Return a copy with `changes`, at the first page."""
        return replace(self, **({"after": ""} | changes))

    def of(self, image: int, path: str) -> SearchParams:
        """Return the search with another image, in the same datasets and layout."""
        return SearchParams(
            path,
            image=image,
            datasets=self.datasets,
            condition=self.condition,
            once=self.once,
            layout=self.layout,
            number=self.number,
        )


def read(
    query: QueryDict, path: str, image: int | None = None
) -> tuple[SearchParams, ServiceError | None]:
    """Parse a URL; return its state, and the first error in it.

    An invalid box or filter is an error; invalid parameters of the layout are ignored.
    """
    error: ServiceError | None = None
    box = condition = None
    try:
        box = parse_box(query.get("box"))
    except ServiceError as wrong:
        error = wrong
    try:
        condition = query_string.read(query)
    except ServiceError as wrong:
        error = error or wrong
    sort = query.get("sort", "")
    after = query.get("after", "")
    params = SearchParams(
        path=path,
        image=image,
        datasets=tuple(dict.fromkeys(slug for slug in query.getlist("dataset") if slug)),
        box=box,
        condition=condition,
        sort=Sort(sort) if sort in set(Sort) else Sort.SIMILARITY,
        once=query.get("once") == "1",
        layout=LIST if query.get("view") == LIST else GRID,
        number=_number(query.get("k")),
        floor=_floor(query),
        weak=query.get("weak") == "1",
        after=after if len(after) <= _MAX_CURSOR_LENGTH else "",
    )
    return params, error


def _number(text: str | None) -> int:
    """Return the smallest step that is not below the given number."""
    value = key_of(text)
    if value is None:
        return STEPS[0]
    return next((step for step in STEPS if step >= value), STEPS[-1])


def _floor(query: QueryDict) -> float | None:
    """Return the visitor's cut-off; None where the slider is still at the automatic one."""
    text = query.get("floor", "")
    if not text or text == query.get("auto"):
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return round(min(1.0, max(0.0, value)), 2) if math.isfinite(value) else None
