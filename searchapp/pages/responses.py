"""Small helpers that several pages share."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

from searchapp.services.errors import ServiceError


def render_error(
    request: HttpRequest, template: str, context: dict[str, Any], error: ServiceError
) -> HttpResponse:
    """Render a page that shows `error` where its cause is, with the error's status."""
    response = render(request, template, {**context, "error": error}, status=error.status)
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    response["Cache-Control"] = "no-store"
    return response


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of a page."""
    return request.headers.get("HX-Request") == "true"


def fragment_of(page: HttpResponse) -> HttpResponse:
    """Keep a part of a page, which shares the page's address, out of every cache."""
    page["Cache-Control"] = "no-store"
    patch_vary_headers(page, ["HX-Request"])
    return page


def number(value: int) -> str:
    return f"{value:,}"


def count(value: int, one: str, many: str) -> str:
    """'1 picture', '2,000 pictures'."""
    return f"{number(value)} {one if value == 1 else many}"


def megabytes(value: int) -> str:
    """Bytes as people read them: '812 bytes', '34 KB', '2.3 MB'."""
    if value < 1000:
        return count(value, "byte", "bytes")
    if value < 1_000_000:
        return f"{value / 1000:.0f} KB"
    return f"{value / 1_000_000:.1f} MB"


def duration(seconds: float) -> str:
    """'a moment', '40 seconds', '12 minutes', '3 hours'."""
    if seconds < 2:
        return "a moment"
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    if seconds < 6000:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours"
