"""Redirect addresses with a former slug of a dataset."""

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
        found = request.resolver_match
        if not isinstance(error, DatasetMoved) or found is None or "slug" not in found.kwargs:
            return None
        address = reverse(found.view_name, kwargs={**found.kwargs, "slug": error.slug})
        query = request.META.get("QUERY_STRING", "")
        # Not for good: another dataset may take the slug. A form is sent on as it is.
        status = 302 if request.method in ("GET", "HEAD") else 307
        return HttpResponse(
            status=status, headers={"Location": f"{address}?{query}" if query else address}
        )
