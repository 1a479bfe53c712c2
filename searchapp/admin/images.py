"""Images and query pictures."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display

from searchapp.admin.datasets import DeletedByService, ReadOnlyAdmin
from searchapp.models import Image, ImageState, Query
from searchapp.services import ingest, ledger
from searchapp.services.images import delete_image


@admin.register(Image)
class ImageAdmin(DeletedByService, ModelAdmin):  # type: ignore[misc]
    list_display = [
        "thumbnail", "caption", "dataset", "shown_state", "error_code", "format", "created",
    ]  # fmt: skip
    list_display_links = ["thumbnail", "caption"]
    list_filter = ["state", "dataset", "format", "source"]
    list_select_related = ["dataset"]
    # Counting a million rows for the sake of a number in a corner is not worth its time.
    show_full_result_count = False
    search_fields = ["title", "name", "sha256"]
    fields = ["title", "metadata"]
    actions = ["try_again"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [*self.fields, *self.get_readonly_fields(request, obj)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [field.name for field in Image._meta.fields if field.name not in self.fields]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # pictures come in by upload

    def save_model(self, request: HttpRequest, obj: Image, form: Any, change: bool) -> None:
        # A worker may be writing the other columns of this row.
        obj.save(update_fields=self.fields)

    def delete_model(self, request: HttpRequest, obj: Image) -> None:
        delete_image(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Image]) -> None:
        for image in queryset.select_related("dataset"):
            delete_image(image)

    @admin.display(description="")
    def thumbnail(self, image: Image) -> SafeString | str:
        if image.state != ImageState.READY:
            return "–"
        return format_html('<img src="{}" width="64" alt="">', image.thumbnail_url())

    @display(  # type: ignore[untyped-decorator]
        description="state",
        label={
            "ready": "success",
            "rejected": "warning",
            "failed": "danger",
            "received": "info",
            "processing": "info",
        },
    )
    def shown_state(self, image: Image) -> str:
        return image.state

    @admin.action(description="Try again what failed")
    def try_again(self, request: HttpRequest, queryset: QuerySet[Image]) -> None:
        number = ledger.retry(list(queryset.filter(state=ImageState.FAILED)))
        ingest.wake(number)
        messages.info(request, f"{number} images wait to be tried again.")


@admin.register(Query)
class QueryAdmin(ReadOnlyAdmin):
    list_display = ["created", "name", "url", "user", "expires"]
    list_select_related = ["user"]
