"""Images and query images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from searchapp.admin.base import COLORS, ReadOnlyAdmin
from searchapp.models import Dataset, Image, ImageState, Query
from searchapp.services.images import bulk_actions, image_deletion, image_edits
from searchapp.services.images.bulk_actions import Action, Change
from searchapp.services.images.selection import MAX_KEYS, of_keys
from searchapp.services.ingest import acceptance, claims

_RETRIED = 500


def _parts(keys: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))


@admin.register(Image)
class ImageAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = [
        "thumbnail", "caption", "dataset", "shown_state", "label", "error_code", "created",
    ]  # fmt: skip
    list_display_links = ["thumbnail", "caption"]
    list_filter = ["state", "dataset", "source"]
    list_select_related = ["dataset"]
    list_per_page = 50
    # Counting a million rows only to show their number would take too long.
    show_full_result_count = False
    paginator = InfinitePaginator
    search_fields = ["title", "name", "sha256__startswith", "=label"]
    fields = ["title", "label", "tags", "metadata"]
    actions = [
        "delete_pictures",
        "bring_back",
        "try_again",
    ]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [*self.fields, *self.get_readonly_fields(request, obj)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [field.name for field in Image._meta.fields if field.name not in self.fields]

    def get_actions(self, request: HttpRequest) -> Any:
        # Django's own deletion page would list every row and all its related rows.
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # images are added by upload

    def save_model(self, request: HttpRequest, obj: Image, form: Any, change: bool) -> None:
        image_edits.edit_image(obj, {name: getattr(obj, name) for name in self.fields})

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        names = [str(row) for row in objs]
        return names, {"images": len(names)}, set(), []

    def delete_model(self, request: HttpRequest, obj: Image) -> None:
        image_deletion.delete_image(obj)

    @admin.display(description="")
    def thumbnail(self, image: Image) -> SafeString | str:
        if image.width is None:
            return "–"
        return format_html(
            '<img src="{}" width="64" height="48" alt="" loading="lazy" '
            'style="object-fit: contain; width: 64px; height: 48px">',
            image.thumbnail_url(),
        )

    @display(description="state", label=COLORS)  # type: ignore[untyped-decorator]
    def shown_state(self, image: Image) -> str:
        return image.state

    @admin.action(description="Delete (can be undone for a day)", permissions=["delete"])
    def delete_pictures(self, request: HttpRequest, queryset: QuerySet[Image]) -> None:
        self._in_bulk(request, queryset, Action.DELETE)

    @admin.action(description="Bring back what was deleted", permissions=["delete"])
    def bring_back(self, request: HttpRequest, queryset: QuerySet[Image]) -> None:
        self._in_bulk(request, queryset, Action.RESTORE)

    def _in_bulk(self, request: HttpRequest, queryset: QuerySet[Image], action: Action) -> None:
        assert isinstance(request.user, User)  # noqa: S101 (the admin site requires a login)
        number, jobs = 0, 0
        rows = queryset.order_by("dataset").values_list("dataset", "pk")
        by_dataset: dict[int, list[int]] = {}
        for of, key in rows.iterator():
            by_dataset.setdefault(of, []).append(key)
        for dataset in Dataset.objects.filter(pk__in=by_dataset, deleted=None):
            for keys in _parts(by_dataset[dataset.pk], MAX_KEYS):
                done = bulk_actions.carry_out(
                    dataset, of_keys(keys), Change(action), user=request.user
                )
                jobs += done.job is not None
                number += done.number if done.job is None else 0
        sentences = [f"{number} images: done."] if number else []
        sentences += [f"{jobs} jobs do it: see Jobs."] if jobs else []
        messages.info(request, " ".join(sentences) or "There was nothing to do.")

    @admin.action(description="Try again what failed", permissions=["change"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[Image]) -> None:
        number = 0
        keys = list(queryset.filter(state=ImageState.FAILED).values_list("pk", flat=True))
        for some in _parts(keys, _RETRIED):
            number += claims.retry(list(Image.objects.filter(pk__in=some).only("pk")))
        acceptance.wake(number)
        messages.info(request, f"{number} images wait to be tried again.")


@admin.register(Query)
class QueryAdmin(ReadOnlyAdmin):
    list_display = ["created", "name", "url", "user", "expires"]
    list_select_related = ["user"]
    show_full_result_count = False
    paginator = InfinitePaginator
