"""Datasets, their members and indexes."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from searchapp.admin.base import COLORS, DeletedByService, ReadOnlyAdmin, each
from searchapp.models import Dataset, Index, Membership, VectorCleanup
from searchapp.services.datasets import dataset_deletion, dataset_service
from searchapp.services.errors import Invalid


class DatasetForm(forms.ModelForm[Dataset]):
    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        try:
            dataset_service.check_slug(slug)
        except Invalid as error:
            raise forms.ValidationError(error.detail) from None
        return slug


class MembershipInline(TabularInline):  # type: ignore[misc]
    """Read-only: members are added and removed on the settings page of the dataset."""

    model = Membership
    fields = ["user", "role", "created"]
    readonly_fields = fields
    extra = 0
    max_num = 0
    can_delete = False
    tab = True


class IndexInline(TabularInline):  # type: ignore[misc]
    model = Index
    fields = ["pipeline", "state", "runtime", "created"]
    readonly_fields = fields
    extra = 0
    max_num = 0
    can_delete = False
    tab = True


@admin.register(Dataset)
class DatasetAdmin(DeletedByService, ModelAdmin):  # type: ignore[misc]
    form = DatasetForm
    list_display = ["name", "shown_slug", "shown_visibility", "owner", "ready", "waiting", "bad",
                    "created"]  # fmt: skip
    list_filter = ["visibility", ("deleted", admin.EmptyFieldListFilter)]
    list_select_related = ["owner"]
    search_fields = ["name", "slug", "description"]
    autocomplete_fields = ["owner"]
    readonly_fields = ["created", "updated", "deleted", "slug_before"]
    inlines = [MembershipInline, IndexInline]
    actions = ["bring_back"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        # Slug and owner are changed on the settings page of the dataset, which also takes care of
        # former URLs and former owners.
        return [*self.readonly_fields, *(["slug", "owner"] if obj is not None else [])]

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        return self.inlines if obj is not None else []

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and (obj is None or obj.deleted is None)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and (obj is None or obj.deleted is None)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Count the images of all rows of a page in one query."""
        page: ChangeList = super().get_changelist_instance(request)
        rows = list(page.result_list)
        numbers = dataset_service.counts_of(rows)
        for row in rows:
            row.numbers = numbers[row.pk]
        page.result_list = rows
        return page

    def save_model(self, request: HttpRequest, obj: Dataset, form: Any, change: bool) -> None:
        if change:
            dataset_service.change_dataset(
                obj, name=obj.name, description=obj.description, visibility=obj.visibility
            )
            return
        dataset = dataset_service.create_dataset(
            name=obj.name,
            slug=obj.slug,
            description=obj.description,
            visibility=obj.visibility,
            owner=obj.owner,
        )
        obj.pk = dataset.pk

    def delete_model(self, request: HttpRequest, obj: Dataset) -> None:
        dataset_deletion.delete_dataset(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Dataset]) -> None:
        for dataset in queryset.filter(deleted=None):
            dataset_deletion.delete_dataset(dataset)

    @display(description="slug")  # type: ignore[untyped-decorator]
    def shown_slug(self, dataset: Dataset) -> str:
        return dataset.slug if dataset.deleted is None else dataset.slug_before

    @display(  # type: ignore[untyped-decorator]
        description="visibility",
        label={"public": "info", "private": "default", "deleted": "danger"},
    )
    def shown_visibility(self, dataset: Dataset) -> str:
        return dataset.visibility if dataset.deleted is None else "deleted"

    @display(description="ready")  # type: ignore[untyped-decorator]
    def ready(self, dataset: Any) -> str:
        return f"{dataset.numbers['ready']:,}"

    @display(description="waiting")  # type: ignore[untyped-decorator]
    def waiting(self, dataset: Any) -> str:
        return f"{dataset.numbers['received'] + dataset.numbers['processing']:,}"

    @display(description="not added")  # type: ignore[untyped-decorator]
    def bad(self, dataset: Any) -> str:
        return f"{dataset.numbers['rejected'] + dataset.numbers['failed']:,}"

    @admin.action(description="Bring back what was deleted", permissions=["delete"])
    def bring_back(self, request: HttpRequest, queryset: QuerySet[Dataset]) -> None:
        each(request, queryset, dataset_deletion.restore_dataset, "Brought back: {}.")


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin):
    list_display = ["user", "dataset", "shown_role", "created"]
    list_filter = ["role"]
    list_select_related = ["user", "dataset"]
    search_fields = ["user__username", "dataset__name", "dataset__slug"]

    @display(  # type: ignore[untyped-decorator]
        description="role", label={"viewer": "default", "editor": "info", "owner": "success"}
    )
    def shown_role(self, membership: Membership) -> str:
        return membership.role


@admin.register(Index)
class IndexAdmin(ReadOnlyAdmin):
    list_display = ["dataset", "shown_state", "pipeline", "short_fingerprint", "runtime", "created"]
    list_filter = ["state"]
    list_select_related = ["dataset"]
    search_fields = ["dataset__name", "dataset__slug", "pipeline", "fingerprint"]

    @display(description="state", label=COLORS)  # type: ignore[untyped-decorator]
    def shown_state(self, index: Index) -> str:
        return index.state

    @admin.display(description="fingerprint")
    def short_fingerprint(self, index: Index) -> str:
        return index.fingerprint[:12]


@admin.register(VectorCleanup)
class VectorCleanupAdmin(ReadOnlyAdmin):
    list_display = ["collection", "image_id", "created"]
