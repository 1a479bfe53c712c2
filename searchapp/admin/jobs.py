"""Import jobs."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import TabularInline

from searchapp.admin.datasets import ReadOnlyAdmin
from searchapp.models import ImportItem, ImportJob
from searchapp.services import jobs


class ItemInline(TabularInline):  # type: ignore[misc]
    model = ImportItem
    fields = ["position", "name", "state", "duplicate", "error_code", "error_detail"]
    readonly_fields = fields
    ordering = ["position"]
    extra = 0
    max_num = 0
    can_delete = False
    per_page = 50


@admin.register(ImportJob)
class ImportJobAdmin(ReadOnlyAdmin):
    list_display = ["created", "dataset", "user", "total", "state"]
    list_select_related = ["dataset", "user"]
    list_filter = ["dataset"]
    inlines = [ItemInline]

    @admin.display(description="state")
    def state(self, job: ImportJob) -> str:
        progress = jobs.progress(job)
        return f"{progress.state} ({progress.ready} ready, {progress.rejected} rejected)"
