"""The credits page: authors and licences of the demo images."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from searchapp.services.datasets import demo_gallery


@dataclass(frozen=True)
class Credit:
    file: str
    title: str
    author: str
    licence: str
    source: str
    is_link: bool


@cache
def _credits() -> tuple[Credit, ...]:
    path = settings.DEMO_DIR / "demo.csv"
    if not path.exists():
        return ()
    with path.open(encoding="utf-8", newline="") as lines:
        return tuple(
            Credit(
                row["file"],
                row["title"],
                row["author"],
                row["licence"],
                row["source"],
                row["source"].startswith(("https://", "http://")),
            )
            for row in csv.DictReader(lines)
        )


@require_safe
def credit_list(request: HttpRequest) -> HttpResponse:
    stored = dict(demo_gallery.public_images().values_list("name", "pk"))
    rows = [(credit, stored.get(credit.file)) for credit in _credits()]
    return render(request, "search/credits.html", {"rows": rows})
