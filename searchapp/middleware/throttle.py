"""The page for who has tried too often: the form of signing in has no answer of its own for it."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from searchapp.pages.errors import too_many_attempts
from searchapp.services.throttle import TooManyAttempts


class ThrottleMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return too_many_attempts(request, error) if isinstance(error, TooManyAttempts) else None
