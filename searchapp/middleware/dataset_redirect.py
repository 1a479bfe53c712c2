"""Redirect URLs with a former slug of a dataset."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from searchapp.pages.access import DatasetMoved


class MovedDatasetMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        match = request.resolver_match
        if not isinstance(error, DatasetMoved) or match is None or "slug" not in match.kwargs:
            return None
        address = reverse(match.view_name, kwargs={**match.kwargs, "slug": error.slug})
        query = request.META.get("QUERY_STRING", "")
        # Temporary: another dataset may take the slug. 307 keeps the method and body of a form.
        status = 302 if request.method in ("GET", "HEAD") else 307
        return HttpResponse(
            status=status, headers={"Location": f"{address}?{query}" if query else address}
        )
