"""Import jobs in the admin site; their ledgers are on the pages of the jobs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from searchapp.admin.base import COLORS, ReadOnlyAdmin, each
from searchapp.models import ImportItem, ImportJob
from searchapp.services.imports import control, job_progress


@admin.register(ImportJob)
class ImportJobAdmin(ReadOnlyAdmin):
    list_display = ["created", "name", "dataset", "kind", "user", "shown_state", "shown_progress",
                    "rate"]  # fmt: skip
    list_select_related = ["dataset", "user"]
    list_filter = ["state", "kind", "dataset"]
    list_per_page = 30
    search_fields = ["name", "dataset__name", "dataset__slug", "user__username"]
    actions = ["pause", "resume", "cancel", "retry_failed"]

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Count the files of all jobs of a page in one query."""
        page: ChangeList = super().get_changelist_instance(request)
        rows = list(page.result_list)
        numbers = job_progress.progress_of(rows)
        for row in rows:
            row.progress = numbers[row.pk]
        page.result_list = rows
        return page

    @display(description="state", label=COLORS)  # type: ignore[untyped-decorator]
    def shown_state(self, job: ImportJob) -> str:
        return job.state

    @display(description="files")  # type: ignore[untyped-decorator]
    def shown_progress(self, job: Any) -> str:
        now: job_progress.JobProgress = job.progress
        bad = now.rejected + now.failed
        return f"{now.ready:,} of {now.total:,}" + (f", {bad:,} not added" if bad else "")

    @display(description="a second")  # type: ignore[untyped-decorator]
    def rate(self, job: Any) -> str:
        rate: float | None = job.progress.rate
        return "–" if rate is None else f"{rate:.1f}"

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whether the user may pause, resume, cancel and retry jobs: users who may change images.

        Jobs cannot be edited.
        """
        return bool(request.user.has_perm("searchapp.change_image"))

    @admin.action(description="Pause", permissions=["run"])
    def pause(self, request: HttpRequest, queryset: QuerySet[ImportJob]) -> None:
        each(request, queryset, control.pause, "Jobs that are paused: {}.")

    @admin.action(description="Resume", permissions=["run"])
    def resume(self, request: HttpRequest, queryset: QuerySet[ImportJob]) -> None:
        each(request, queryset, control.resume, "Jobs that go on: {}.")

    @admin.action(description="Cancel", permissions=["run"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[ImportJob]) -> None:
        each(request, queryset, control.cancel, "Jobs that are cancelled: {}.")

    @admin.action(description="Try again what failed", permissions=["run"])
    def retry_failed(self, request: HttpRequest, queryset: QuerySet[ImportJob]) -> None:
        each(
            request, queryset, control.retry_failed, "Jobs whose failed files are tried again: {}."
        )


@admin.register(ImportItem)
class ImportItemAdmin(ReadOnlyAdmin):
    """The rows of all ledgers, to find out what happened to a file."""

    list_display = ["name", "job", "shown_state", "error_code", "error_detail", "attempts",
                    "duration"]  # fmt: skip
    list_select_related = ["job", "job__dataset"]
    list_filter = ["state"]
    list_per_page = 50
    search_fields = ["name__startswith"]
    ordering = ["-pk"]
    show_full_result_count = False
    paginator = InfinitePaginator

    @display(description="state", label=COLORS)  # type: ignore[untyped-decorator]
    def shown_state(self, item: ImportItem) -> str:
        return item.state
