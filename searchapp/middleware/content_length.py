"""Refuse request bodies without a `Content-Length`."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from searchapp.api.core.errors import problem_response


class LengthRequiredMiddleware:
    """Responds with 411 to chunked bodies, which Django would read as empty."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
            return problem_response(
                411,
                "length_required",
                "This server needs a Content-Length: send the body in one piece, not in chunks.",
            )
        return self._get_response(request)
