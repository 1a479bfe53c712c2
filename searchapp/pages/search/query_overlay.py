"""The overlay on the query image: the box that is searched with, or suggested boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlencode

from django.urls import reverse

from searchapp.models import Image, Query
from searchapp.pages.search.search_params import SearchParams
from searchapp.services.search import Box, remembered_regions

# The drawing is 100 units wide for every image.
_WIDTH = 100.0
# Images with a larger aspect ratio are shown too small for suggestions.
_MAX_ASPECT = 3.0
# Cached, because every match of a page needs it.
address_of = cache(reverse)


@dataclass(frozen=True)
class Rect:
    """A box in units of the drawing, as SVG attributes."""

    x: str
    y: str
    width: str
    height: str
    middle_x: str
    middle_y: str


@dataclass(frozen=True)
class Suggestion:
    rect: Rect
    link: str
    number: int


@dataclass(frozen=True)
class QueryOverlay:
    width: str
    height: str
    box: Rect | None
    suggestions: Sequence[Suggestion]
    ask: str  # the URL that loads suggestions; empty where they are known


def lens_of(
    source: Query | Image, params: SearchParams, width: int, height: int
) -> QueryOverlay | None:
    """Return the overlay for an image of this size in pixels; None where the size is unknown."""
    if width < 1 or height < 1:
        return None
    tall = _WIDTH * height / width
    regions: list[Box] | None = []
    if params.box is None and 1 / _MAX_ASPECT <= height / width <= _MAX_ASPECT:
        regions = remembered_regions(source)
    return QueryOverlay(
        width=f"{_WIDTH:g}",
        height=f"{tall:.2f}",
        box=None if params.box is None else _rect(params.box, tall),
        suggestions=[
            Suggestion(_rect(box, tall), params.but(box=box).link, number)
            for number, box in enumerate(regions or [], start=1)
        ],
        ask=_ask(source, params, width, height) if regions is None else "",
    )


def _rect(box: Box, tall: float) -> Rect:
    return Rect(
        x=f"{_WIDTH * box.left:.2f}",
        y=f"{tall * box.top:.2f}",
        width=f"{_WIDTH * box.width:.2f}",
        height=f"{tall * box.height:.2f}",
        middle_x=f"{_WIDTH * (box.left + box.width / 2):.2f}",
        middle_y=f"{tall * (box.top + box.height / 2):.2f}",
    )


def _ask(source: Query | Image, params: SearchParams, width: int, height: int) -> str:
    if isinstance(source, Query):
        path = reverse("query-regions", args=[source.token])
    else:
        path = reverse("image-regions", args=[source.pk])
    size = [("width", str(width)), ("height", str(height))]
    return f"{path}?{urlencode(params.pairs() + size, safe=',')}"


def compare_link(source: Query | Image, image: Image, params: SearchParams) -> str:
    """Return the URL of the comparison of the query with a match."""
    subject = ("query", source.token) if isinstance(source, Query) else ("image", str(source.pk))
    pairs = [subject, ("with", str(image.pk))]
    if params.box is not None:
        pairs.append(("box", str(params.box)))
    return f"{address_of('compare')}?{urlencode(pairs, safe=',')}"
