"""Base classes and helpers for the admin site."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from searchapp.services.errors import ServiceError

# The colors of states, the same on all pages; the state is always shown as text too.
COLORS = {
    "ready": "success", "active": "success", "finished": "success",
    "received": "info", "processing": "info", "queued": "info", "running": "info",
    "building": "info", "waiting": "info", "checked": "info",
    "paused": "warning", "rejected": "warning", "finished_with_errors": "warning",
    "failed": "danger", "deleted": "danger",
}  # fmt: skip


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Read-only rows, which only the application writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class DeletedByService:
    """For models that a service deletes, together with related rows.

    No separate permission is needed to delete the related rows.
    """

    def get_deleted_objects(
        self, objs: Iterable[Model], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        names = [str(row) for row in objs]
        return names, {"rows": len(names)}, set(), []


def each(
    request: HttpRequest, rows: Iterable[Any], act: Callable[[Any], object], done: str
) -> None:
    """Call `act` for each row of an admin action; show messages about successes and failures."""
    number, refused = 0, ""
    for row in rows:
        try:
            act(row)
        except ServiceError as error:
            refused = f"{row}: {error.detail}"
        else:
            number += 1
    if number:
        messages.success(request, done.format(number))
    if refused:
        messages.error(request, refused)
