"""The navigation in the sidebar of the admin site."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

from searchapp.models import (
    ApiKey,
    AuditReport,
    Dataset,
    FailedTask,
    Image,
    ImportItem,
    ImportJob,
    Index,
    Membership,
    Query,
    VectorCleanup,
)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    overview = {"title": "Overview", "icon": "monitoring", "link": reverse("admin:index")}
    groups: list[tuple[str, list[tuple[str, str, type[Model]]]]] = [
        (
            "Pictures",
            [
                ("Datasets", "photo_library", Dataset),
                ("Images", "image", Image),
                ("Indexes", "hub", Index),
                ("Members", "group", Membership),
                ("Queries", "image_search", Query),
            ],
        ),
        (
            "Work",
            [
                ("Jobs", "conveyor_belt", ImportJob),
                ("Ledger rows", "receipt_long", ImportItem),
                ("Failed tasks", "report", FailedTask),
                ("Audits", "fact_check", AuditReport),
                ("Vectors to forget", "auto_delete", VectorCleanup),
            ],
        ),
        ("Programs", [("API keys", "key", ApiKey)]),
    ]
    shown: list[dict[str, Any]] = [{"items": [overview]}]
    for title, entries in groups:
        items = [
            {"title": name, "icon": icon, "link": reverse(_list_of(model))}
            for name, icon, model in entries
            if request.user.has_perm(f"searchapp.view_{model._meta.model_name}")
        ]
        if items:
            shown.append({"title": title, "separator": True, "items": items})
    people = [
        {"title": name, "icon": icon, "link": reverse(f"admin:auth_{model}_changelist")}
        for name, icon, model in (("Users", "person", "user"), ("Groups", "groups", "group"))
        if request.user.has_perm(f"auth.view_{model}")
    ]
    if people:
        shown.append({"title": "People", "separator": True, "items": people})
    return shown


def _list_of(model: type[Model]) -> str:
    return f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
