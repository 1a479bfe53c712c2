"""The demo gallery: public-domain photographs that come with the project."""

from __future__ import annotations

import csv
from contextlib import ExitStack
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from searchapp.infra.upload_handler import HashedUpload
from searchapp.models import Dataset, Image, ImageState, Source, Visibility
from searchapp.services.datasets.dataset_service import create_dataset
from searchapp.services.ingest.acceptance import Arrival, accept_arrivals

if TYPE_CHECKING:
    from django.contrib.auth.models import User

SLUG = "demo"
# Example queries, in this order.
_EXAMPLES = (
    "erase-kingfisher.jpg",
    "explore_monuments-germany-neuschwansteinCastle.jpg",
    "categorization-fish1.jpg",
    "erase-red_panda.jpg",
    "solar_system-saturn.jpg",
    "categorization-windmill1.jpg",
    "explore_monuments-india-hawaMahal.jpg",
    "categorization-hammer1.jpg",
)


@transaction.atomic
def load(owner: User) -> int:
    """Accept the gallery's images, unless there is a dataset `demo`; returns how many."""
    # Also not when it exists under another slug, or while its deletion can be undone.
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


def public_images() -> QuerySet[Image]:
    """Return the gallery's ready images, if everyone may see them."""
    return Image.objects.filter(
        dataset__slug=SLUG, dataset__visibility=Visibility.PUBLIC, state=ImageState.READY
    )


def examples() -> list[Image]:
    """Return the images that the start page offers as example queries."""
    images = {image.name: image for image in public_images().filter(name__in=_EXAMPLES)}
    return [images[name] for name in _EXAMPLES if name in images]
