"""What a search page was asked: everything of it stands in the address."""

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
# What is longer is no cursor.
_MAX_CURSOR_LENGTH = 20_000


@dataclass(frozen=True)
class SearchParams:
    """The state of a page of results; `path` is the address without its parameters."""

    path: str
    image: int | None = None  # the stored image that is searched with
    datasets: tuple[str, ...] = ()  # slugs; none of them are all
    box: Box | None = None
    condition: Condition | None = None
    sort: Sort = Sort.SIMILARITY
    once: bool = False  # the same picture is shown once
    layout: str = GRID
    number: int = STEPS[0]
    floor: float | None = None  # the score that a visitor has drawn the line at
    weak: bool = False  # weak matches are unfolded
    after: str = ""

    def pairs(self) -> list[tuple[str, str]]:
        """The parameters, as few as say it."""
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
        """The same with something else; it begins with the first page again."""
        return replace(self, **({"after": ""} | changes))

    def of(self, image: int, path: str) -> SearchParams:
        """The search with another picture: where it looks and how it is shown stay."""
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
    given: QueryDict, path: str, image: int | None = None
) -> tuple[SearchParams, ServiceError | None]:
    """Return what an address asks, and the first thing in it that is wrong.

    What only concerns the show is taken as far as it makes sense; a wrong box or filter is said.
    """
    error: ServiceError | None = None
    box = condition = None
    try:
        box = parse_box(given.get("box"))
    except ServiceError as wrong:
        error = wrong
    try:
        condition = query_string.read(given)
    except ServiceError as wrong:
        error = error or wrong
    sort = given.get("sort", "")
    after = given.get("after", "")
    asked = SearchParams(
        path=path,
        image=image,
        datasets=tuple(dict.fromkeys(slug for slug in given.getlist("dataset") if slug)),
        box=box,
        condition=condition,
        sort=Sort(sort) if sort in set(Sort) else Sort.SIMILARITY,
        once=given.get("once") == "1",
        layout=LIST if given.get("view") == LIST else GRID,
        number=_number(given.get("k")),
        floor=_floor(given),
        weak=given.get("weak") == "1",
        after=after if len(after) <= _MAX_CURSOR_LENGTH else "",
    )
    return asked, error


def _number(text: str | None) -> int:
    """The step that is nearest to what was asked for, from above."""
    value = key_of(text)
    if value is None:
        return STEPS[0]
    return next((step for step in STEPS if step >= value), STEPS[-1])


def _floor(given: QueryDict) -> float | None:
    """The score that was chosen; a handle that was left where it stood has chosen nothing."""
    text = given.get("floor", "")
    if not text or text == given.get("auto"):
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return round(min(1.0, max(0.0, value)), 2) if math.isfinite(value) else None
