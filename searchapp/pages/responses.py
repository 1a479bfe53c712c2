"""Responses that pages share: errors, htmx fragments; and numbers as text."""

from __future__ import annotations

import hashlib
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

from searchapp.services.errors import ServiceError


def render_error(
    request: HttpRequest, template: str, context: dict[str, Any], error: ServiceError
) -> HttpResponse:
    """Render a page that shows `error` beside the field that caused it, with its status."""
    response = render(request, template, {**context, "error": error}, status=error.status)
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    response["Cache-Control"] = "no-store"
    return response


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx requests a part of a page."""
    return request.headers.get("HX-Request") == "true"


def fragment_of(page: HttpResponse) -> HttpResponse:
    """Keep a fragment out of caches: it has the same URL as its page."""
    page["Cache-Control"] = "no-store"
    patch_vary_headers(page, ["HX-Request"])
    return page


# htmx changes nothing at this status.
NOTHING_NEW = 204


def news(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """Return a fragment, or 204 if the browser has it already: then the page is not redrawn."""
    plain = render(request, template, {**context, "seen": "", "csrf_token": ""}).content
    seen = hashlib.sha256(plain).hexdigest()[:16]
    if request.GET.get("seen") == seen:
        return fragment_of(HttpResponse(status=NOTHING_NEW))
    return fragment_of(render(request, template, {**context, "seen": seen}))


def number(value: int) -> str:
    return f"{value:,}"


def count(value: int, one: str, many: str) -> str:
    """'1 picture', '2,000 pictures'."""
    return f"{number(value)} {one if value == 1 else many}"


def megabytes(value: int) -> str:
    """Format a number of bytes: '812 bytes', '34 KB', '2.3 MB', '20 GB'."""
    if value < 1000:
        return count(value, "byte", "bytes")
    if value < 1_000_000:
        return f"{value / 1000:.0f} KB"
    number, unit = (value / 1e6, "MB") if value < 1_000_000_000 else (value / 1e9, "GB")
    return f"{number:.1f}".removesuffix(".0") + f" {unit}"


def duration(seconds: float) -> str:
    """Format a duration: '40 seconds', '3 minutes', '2 hours 5 minutes'."""
    if seconds < 60:
        return count(max(1, round(seconds)), "second", "seconds")
    minutes = round(seconds / 60)
    if minutes < 60:
        return count(minutes, "minute", "minutes")
    hours, rest = divmod(minutes, 60)
    if hours >= 48:
        return count(round(hours / 24), "day", "days")
    words = count(hours, "hour", "hours")
    return f"{words} {count(rest, 'minute', 'minutes')}" if rest else words
