"""Datasets and their indexes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from searchapp.models import Dataset, Index, VectorCleanup
from searchapp.services import datasets
from searchapp.services.errors import Invalid


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows that the application writes and people only read."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class DeletedByService:
    """For models whose deletion a service carries out, rows that hang on them included: those need
    no permission of their own."""

    def get_deleted_objects(
        self, objs: Iterable[Model], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        names = [str(row) for row in objs]
        return names, {"rows": len(names)}, set(), []


class DatasetForm(forms.ModelForm[Dataset]):
    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        try:
            datasets.check_slug(slug)
        except Invalid as error:
            raise forms.ValidationError(error.detail) from None
        return slug


@admin.register(Dataset)
class DatasetAdmin(DeletedByService, ModelAdmin):  # type: ignore[misc]
    form = DatasetForm
    list_display = ["name", "slug", "visibility", "owner", "ready", "waiting", "created"]
    list_filter = ["visibility"]
    search_fields = ["name", "slug", "description"]
    autocomplete_fields = ["owner"]
    readonly_fields = ["created", "updated"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        # Addresses lead to the slug: it stays.
        return [*self.readonly_fields, *(["slug"] if obj is not None else [])]

    def save_model(self, request: HttpRequest, obj: Dataset, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        made = datasets.create_dataset(
            name=obj.name,
            slug=obj.slug,
            description=obj.description,
            visibility=obj.visibility,
            owner=obj.owner,
        )
        obj.pk = made.pk

    def delete_model(self, request: HttpRequest, obj: Dataset) -> None:
        datasets.delete_dataset(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Dataset]) -> None:
        for dataset in queryset:
            datasets.delete_dataset(dataset)

    @admin.display(description="ready")
    def ready(self, dataset: Dataset) -> int:
        return datasets.counts(dataset)["ready"]

    @admin.display(description="waiting")
    def waiting(self, dataset: Dataset) -> int:
        by_state = datasets.counts(dataset)
        return by_state["received"] + by_state["processing"]


@admin.register(Index)
class IndexAdmin(ReadOnlyAdmin):
    list_display = ["dataset", "state", "pipeline", "short_fingerprint", "runtime", "created"]
    list_filter = ["state", "pipeline"]
    list_select_related = ["dataset"]

    @admin.display(description="fingerprint")
    def short_fingerprint(self, index: Index) -> str:
        return index.fingerprint[:12]


@admin.register(VectorCleanup)
class VectorCleanupAdmin(ReadOnlyAdmin):
    list_display = ["collection", "image_id", "created"]
