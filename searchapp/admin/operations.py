"""Failed tasks and audits in the admin site."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from searchapp.admin.base import ReadOnlyAdmin, each
from searchapp.models import AuditReport, FailedTask
from searchapp.services.operations import failed_tasks


@admin.register(FailedTask)
class FailedTaskAdmin(ReadOnlyAdmin):
    list_display = ["failed", "name", "error", "queue", "worker", "shown_again"]
    list_filter = ["name", "queue", ("again", admin.EmptyFieldListFilter)]
    search_fields = ["name", "error"]
    fields = ["name", "queue", "failed", "worker", "arguments", "error", "shown_trace", "again"]
    readonly_fields = ["shown_trace"]
    actions = ["run_again", "forget"]

    def has_run_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("searchapp.delete_failedtask"))

    @display(  # type: ignore[untyped-decorator]
        description="state", label={"run again": "success", "open": "danger", "no": "default"}
    )
    def shown_again(self, task: FailedTask) -> tuple[str, str]:
        if task.again is not None:
            return "run again", f"run again {task.again:%d %b, %H:%M}"
        return (
            ("open", "open") if failed_tasks.can_run_again(task) else ("no", "cannot be run again")
        )

    @display(description="trace")  # type: ignore[untyped-decorator]
    def shown_trace(self, task: FailedTask) -> SafeString:
        return format_html(
            '<pre class="overflow-x-auto text-xs" tabindex="0">{}</pre>', task.trace or "–"
        )

    @admin.action(description="Run again", permissions=["run"])
    def run_again(self, request: HttpRequest, queryset: QuerySet[FailedTask]) -> None:
        each(request, queryset, failed_tasks.run_again, "Tasks that were sent again: {}.")

    @admin.action(description="Forget", permissions=["run"])
    def forget(self, request: HttpRequest, queryset: QuerySet[FailedTask]) -> None:
        queryset.delete()


@admin.register(AuditReport)
class AuditReportAdmin(ReadOnlyAdmin):
    list_display = ["started", "user", "deep", "repair", "left", "ended"]
    list_filter = ["deep", "repair"]
    list_select_related = ["user"]
