"""Remove what was written of a request's files, as soon as it is answered."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from searchapp.infra.upload_handler import discard_drafts


class UploadDraftsMiddleware:
    """Discards drafts that nobody closed: of a body that broke off, say, or could not be read.

    A view has stored what it keeps by then.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            return self._get_response(request)
        finally:
            discard_drafts(request)
