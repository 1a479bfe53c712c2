"""`/healthz` and `/readyz`, answered before other middleware so that probes need no host name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from searchapp.infra import queue
from searchapp.infra.vectors.errors import VectorsError
from searchapp.infra.vectors.store import get_store
from searchapp.models import Dataset
from searchapp.services.datasets import dataset_service, demo_gallery


class HealthMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info == "/healthz":
            return JsonResponse({"status": "alive"})
        if request.path_info == "/readyz":
            return ready()
        return self._get_response(request)


def ready() -> JsonResponse:
    """Return 200 if searches and uploads work, else 503, with the state of each component."""
    body: dict[str, Any] = {
        "database": _state(_check_database),
        "redis": _state(queue.ping),
        "milvus": _state(_check_milvus),
        "query": _state(lambda: _check_pool(queue.QUERY)),
        "ingest": _state(lambda: _check_pool(queue.INGEST)),
    }
    works = all(part["state"] == "ok" for part in body.values())
    if settings.DEMO and body["database"]["state"] == "ok":
        gallery = Dataset.objects.filter(slug=demo_gallery.SLUG).first()
        if gallery is not None:
            counts = dataset_service.counts(gallery)
            total = counts["total"] - counts["rejected"] - counts["failed"]
            body["demo"] = {"ready": counts["ready"], "total": total}
    response = JsonResponse(
        {"status": "ready" if works else "unavailable", **body}, status=200 if works else 503
    )
    if not works:
        response["Retry-After"] = "5"
    response["Cache-Control"] = "no-store"
    return response


class _Down(Exception):
    pass


def _state(check: Callable[[], None]) -> dict[str, str]:
    try:
        check()
    except (_Down, DatabaseError, queue.QueueUnavailable, VectorsError) as error:
        return {"state": "down", "detail": str(error)}
    return {"state": "ok"}


def _check_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _check_milvus() -> None:
    get_store().ping()


def _check_pool(pool: str) -> None:
    if not queue.workers(pool):
        raise _Down(f"No worker of the {pool} pool has shown life in the last seconds.")
