"""Views of the page that compares two images: form, result, heatmaps."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from searchapp.api.core.authentication import user_of
from searchapp.infra.client_address import sender_of
from searchapp.infra.upload_handler import HashedUpload
from searchapp.pages.compare import comparison_drawing
from searchapp.pages.compare.comparison_table import ComparisonRow, facts_of
from searchapp.pages.responses import render_error
from searchapp.services import search
from searchapp.services.compare import pair_comparison as service
from searchapp.services.compare import text
from searchapp.services.compare.pair_comparison import (
    FIRST_NAMES,
    SECOND_NAMES,
    ComparedPicture,
    PairComparison,
)
from searchapp.services.errors import Invalid, ServiceError

_OWN_PAGE = re.compile(r"/(?:images|media)/(\d+)/")
_SIDES = ("first", "second")
MODES = (
    ("sides", "Side by side"),
    ("slider", "Slider"),
    ("blink", "Blink"),
    ("difference", "Difference"),
)
# An overlay never changes: its URL names two images, whose bytes never change.
_KEEP = "private, max-age=900"


@dataclass(frozen=True)
class Shown:
    """One of the two images, as the page shows it."""

    side: ComparedPicture
    name: str
    picture: str  # URL of a copy of about 512 pixels
    page: str  # URL of the image's page

    @classmethod
    def of(cls, side: ComparedPicture) -> Shown:
        if side.image is not None:
            image = side.image
            return cls(side, image.caption, image.thumbnail_url(512), image.get_absolute_url())
        assert side.query is not None  # noqa: S101 (one of the two is always given)
        query = side.query
        name = query.name or urlsplit(query.url).hostname or "your picture"
        return cls(side, name, query.picture_url, query.get_absolute_url())


@require_http_methods(["GET", "HEAD", "POST"])
def compare(request: HttpRequest) -> HttpResponse:
    """Show a comparison, or the form for it; POST accepts the missing images and redirects."""
    if request.method == "POST":
        return _choose(request)
    try:
        first = service.side_of(request.GET, FIRST_NAMES, request.user)
        second = service.side_of(request.GET, SECOND_NAMES, request.user)
    except ServiceError as error:
        return _begin(request, (None, None), error)
    if first is None or second is None:
        return _begin(request, (first, second))
    return _pair(request, first, second)


def _begin(
    request: HttpRequest,
    sides: tuple[ComparedPicture | None, ComparedPicture | None],
    error: ServiceError | None = None,
) -> HttpResponse:
    drops = [
        {
            "title": title,
            "names": names,
            "prefix": prefix,
            "shown": Shown.of(side) if side is not None else None,
            "kept": service.parameters(*((side, None) if prefix == "" else (None, side))),
        }
        for title, names, prefix, side in (
            ("First picture", FIRST_NAMES, "", sides[0]),
            ("Second picture", SECOND_NAMES, "with_", sides[1]),
        )
    ]
    context = {
        "drops": drops,
        "largest": f"{settings.MAX_UPLOAD_BYTES / 1e6:g}",
        "keep_hours": settings.QUERY_KEEP_HOURS,
    }
    if error is not None:
        return render_error(request, "compare/choose.html", context, error)
    return render(request, "compare/choose.html", context)


def _choose(request: HttpRequest) -> HttpResponse:
    sides: list[ComparedPicture | None] = [None, None]
    problem: ServiceError | None = None
    for place, (names, prefix) in enumerate(((FIRST_NAMES, ""), (SECOND_NAMES, "with_"))):
        try:
            sides[place] = _given(request, names, prefix)
        except ServiceError as error:
            problem = problem or error
    first, second = sides
    if problem is None and (first is None or second is None):
        problem = Invalid("no_picture", "Choose two pictures: a file, an address or a number each.")
    if problem is not None or first is None or second is None:
        # An image that was sent is stored: only the other one has to be sent again.
        return _begin(request, (first, second), problem)
    query_string = urlencode(service.parameters(first, second), safe=",")
    response = HttpResponseRedirect(f"{reverse('compare')}?{query_string}")
    response.status_code = 303
    return response


def _given(
    request: HttpRequest, names: tuple[str, str, str], prefix: str
) -> ComparedPicture | None:
    upload = request.FILES.get(f"{prefix}picture")
    address = request.POST.get(f"{prefix}address", "").strip()
    if isinstance(upload, HashedUpload) and (upload.size or not address):
        return ComparedPicture(query=search.ask_upload(upload, request.user, sender_of(request)))
    if not address:
        return service.side_of(request.POST, names, request.user)
    if address.isascii() and address.isdigit():
        return ComparedPicture(image=service.find_image(address, request.user))
    try:
        parts = urlsplit(address)
    except ValueError:  # such as 'http://['
        raise _no_address(address) from None
    own = _OWN_PAGE.match(parts.path.removeprefix(settings.PREFIX))
    if own and parts.netloc in ("", request.get_host()):
        return ComparedPicture(image=service.find_image(own[1], request.user))
    if parts.scheme not in ("http", "https"):
        raise _no_address(address)
    return ComparedPicture(query=search.ask_url(address, request.user, sender_of(request)))


def _no_address(address: str) -> Invalid:
    return Invalid(
        "invalid_address",
        f"‘{address[:80]}’ is neither the address of a picture, such as "
        "https://example.org/a.jpg, nor the number of one that is stored here.",
    )


def _pair(request: HttpRequest, first: ComparedPicture, second: ComparedPicture) -> HttpResponse:
    pictures = Shown.of(first), Shown.of(second)
    query_string = urlencode(service.parameters(first, second), safe=",")
    context: dict[str, Any] = {
        "shown": pictures,
        "swapped": urlencode(service.parameters(second, first), safe=","),
    }
    try:
        comparison = service.compare(first, second)
    except ServiceError as error:
        sizes = comparison_drawing.size_of(first), comparison_drawing.size_of(second)
        context |= {
            "sides": comparison_drawing.sides(pictures, sizes),
            "facts": _facts(first, second, None),
        }
        return render_error(request, "compare/pair.html", context, error)
    sizes = _size(comparison.first_facts), _size(comparison.second_facts)
    context |= {
        "found": comparison,
        "modes": MODES,
        "sides": comparison_drawing.sides(pictures, sizes),
        "verdict": _unbroken(
            text.verdict(comparison.kind, comparison.edits, comparison.geometry, *sizes)
        ),
        "score": f"{comparison.score:.2f}",
        "bar": max(0, round(comparison.score * 100)),
        "facts": _facts(first, second, comparison),
        "laid": comparison_drawing.laid(comparison.geometry, *sizes),
        "points": comparison_drawing.points(comparison.geometry, *sizes),
        "heats": [f"{reverse('compare-heat', args=[name])}?{query_string}" for name in _SIDES],
        "why": f"{reverse('compare-why')}?{query_string}",
        "legend": comparison_drawing.legend(),
    }
    return render(request, "compare/pair.html", context)


def _unbroken(sentence: str) -> str:
    """Put no-break spaces before percent signs."""
    return sentence.replace(" %", "\u00a0%")


def _size(facts: Any) -> tuple[int, int]:
    return facts["width"], facts["height"]


def _facts(
    first: ComparedPicture, second: ComparedPicture, comparison: PairComparison | None
) -> list[ComparisonRow]:
    one, two = (comparison.first_facts, comparison.second_facts) if comparison else ({}, {})
    return facts_of(first, second, one, two)


@require_safe
def heat(request: HttpRequest, side: str) -> HttpResponse:
    """The heatmap overlay of one of two images: regions that contribute to the match."""
    if side not in _SIDES:
        raise Http404("A comparison has a first and a second picture.")
    try:
        explanation = service.explain(*_asked(request))
    except ServiceError as error:
        return _said(error)
    response = HttpResponse(explanation.overlays[_SIDES.index(side)], content_type="image/webp")
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cache-Control"] = _KEEP
    response["Vary"] = "Cookie, Authorization"
    return response


@require_safe
def why(request: HttpRequest) -> HttpResponse:
    """The same as JSON, for the page's script: what each pair of regions contributes."""
    try:
        explanation = service.explain(*_asked(request))
    except ServiceError as error:
        return _said(error)
    body = {
        "score": explanation.score,
        "exact": explanation.exact,
        "first": explanation.grids[0],
        "second": explanation.grids[1],
        "pairs": base64.b64encode(explanation.pairs).decode(),
    }
    response = JsonResponse(body)
    response["Cache-Control"] = _KEEP
    response["Vary"] = "Cookie, Authorization"
    return response


def _asked(request: HttpRequest) -> tuple[ComparedPicture, ComparedPicture]:
    """Return the two sides that the URL names, if the user or API key may see them."""
    user = user_of(request)
    first = service.side_of(request.GET, FIRST_NAMES, user)
    second = service.side_of(request.GET, SECOND_NAMES, user)
    if first is None or second is None:
        raise Invalid("no_picture", "This address does not name two pictures.")
    return first, second


def _said(error: ServiceError) -> HttpResponse:
    # A heatmap in preparation is no error: browsers would log one in their consoles.
    status = 202 if error.code == "heatmap_not_ready" else error.status
    response = HttpResponse(error.detail, content_type="text/plain", status=status)
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    response["Cache-Control"] = "no-store"
    return response
