"""Respond with 400 to text with NUL characters, which PostgreSQL cannot store."""

from __future__ import annotations

from collections.abc import Callable

from django.db import DataError
from django.http import HttpRequest, HttpResponse

from searchapp.pages.errors import bad_request


class NulMiddleware:
    """Responds with 400 when a NUL character anywhere in the request causes an error."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, DataError | ValueError) and "NUL (0x00)" in str(error):
            return bad_request(request, error)
        return None
