"""Keep what was answered to somebody in particular out of shared caches."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers


class PrivateCacheMiddleware:
    """Marks answers to people and keys as private, unless the view has said how to keep them.

    See RFC 9111, 3.5 and 5.2.2. What the API answers always depends on who asks.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if request.path_info.startswith("/api/"):
            patch_vary_headers(response, ["Authorization", "Cookie"])
        is_known = (
            "Authorization" in request.headers or settings.SESSION_COOKIE_NAME in request.COOKIES
        )
        if is_known and not response.has_header("Cache-Control"):
            response["Cache-Control"] = "private, no-store"
        return response
