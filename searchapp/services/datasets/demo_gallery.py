"""The demo gallery: photographs in the public domain that come with the project."""

from __future__ import annotations

import csv
from contextlib import ExitStack
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from searchapp.infra.upload_handler import HashedUpload
from searchapp.models import Dataset, Source, Visibility
from searchapp.services.datasets.dataset_service import create_dataset
from searchapp.services.ingest.acceptance import Arrival, accept_arrivals

if TYPE_CHECKING:
    from django.contrib.auth.models import User

SLUG = "demo"


@transaction.atomic
def load(owner: User) -> int:
    """Accept the gallery's pictures, unless there is a dataset `demo`; returns how many."""
    # Neither beside itself under another slug, nor while its deletion can be undone.
    here = Q(slug=SLUG) | Q(slug_before=SLUG) | Q(former_slugs__slug=SLUG)
    if Dataset.objects.filter(here).exists():
        return 0
    with (settings.DEMO_DIR / "demo.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    dataset = create_dataset(
        name="Demo gallery",
        slug=SLUG,
        description="Photographs in the public domain, to try Lookalike with.",
        visibility=Visibility.PUBLIC,
        owner=owner,
    )
    with ExitStack() as opened:
        arrivals = [
            Arrival(
                opened.enter_context(HashedUpload.of_path(settings.DEMO_DIR / row["file"])),
                title=row["title"],
                metadata={
                    name: row[name] for name in ("file", "category", "author", "licence", "source")
                },
            )
            for row in rows
        ]
        accept_arrivals(dataset, arrivals, user=owner, source=Source.DEMO, call_workers=False)
    return len(rows)
