"""Making, counting and deleting datasets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import Count
from django.utils.text import slugify

from embeddings.recipes import DEFAULT_PIPELINE, recipe
from searchapp.models import Dataset, Image, ImageState, Index, IndexState, VectorCleanup
from searchapp.services import cleanup
from searchapp.services.errors import Conflict, Invalid

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_SLUG = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
RESERVED_SLUGS = frozenset({"new", "all"})  # addresses of pages, and 'every dataset' in a search


def create_dataset(
    *, name: str, owner: User, slug: str = "", description: str = "", visibility: str = "private"
) -> Dataset:
    """Create a dataset with its active index.

    Raises:
        Invalid: code `invalid_name` or `invalid_slug`.
        Conflict: code `slug_taken`.
    """
    name = name.strip()
    if not name:
        raise Invalid("invalid_name", "A dataset needs a name.")
    if slug:
        check_slug(slug)
        candidates: Iterable[str] = [slug]
    else:
        candidates = _slugs_from(name)
    for candidate in candidates:
        try:
            return _create(name, candidate, description, visibility, owner)
        except IntegrityError:
            continue
    raise Conflict("slug_taken", f"There is a dataset with the slug '{slug}' already.")


def check_slug(slug: str) -> None:
    if len(slug) > 80 or not _SLUG.fullmatch(slug) or slug in RESERVED_SLUGS:
        raise Invalid(
            "invalid_slug",
            "A slug has lower-case letters and digits, with single hyphens or underscores between "
            "them, 80 characters at most, such as "
            "'summer-2026'; 'new' and 'all' are taken by pages.",
        )


def _slugs_from(name: str) -> Iterable[str]:
    stem = slugify(name)[:70].strip("-_") or "dataset"
    if stem not in RESERVED_SLUGS and _SLUG.fullmatch(stem):
        yield stem
    stem = re.sub(r"[-_]+", "-", stem)
    for number in range(2, 10_000):
        yield f"{stem}-{number}"


@transaction.atomic
def _create(name: str, slug: str, description: str, visibility: str, owner: User) -> Dataset:
    dataset = Dataset.objects.create(
        name=name, slug=slug, description=description, visibility=visibility, owner=owner
    )
    chosen = recipe(DEFAULT_PIPELINE)
    Index.objects.create(
        dataset=dataset,
        state=IndexState.ACTIVE,
        pipeline=chosen.name,
        recipe=chosen.to_dict(),
        fingerprint=chosen.fingerprint,
        dimension=chosen.dimension,
    )
    return dataset


def counts(dataset: Dataset) -> dict[str, int]:
    """Return the number of images by state, with all states named, and their `total`."""
    return counts_of([dataset])[dataset.pk]


def counts_of(datasets: Iterable[Dataset]) -> dict[int, dict[str, int]]:
    """Return `counts` for several datasets by their key, in one statement."""
    states = [str(state) for state in ImageState if state != ImageState.DELETED]
    found = {dataset.pk: dict.fromkeys(states, 0) for dataset in datasets}
    rows = (
        Image.objects.filter(dataset__in=found, state__in=states)
        .order_by()
        .values_list("dataset_id", "state")
        .annotate(number=Count("pk"))
    )
    for dataset_id, state, number in rows:
        found[dataset_id][state] = number
    for by_state in found.values():
        by_state["total"] = sum(by_state.values())
    return found


def ready_count(datasets: Iterable[int]) -> int:
    """Return how many images searches of these datasets, given by their keys, can find now."""
    return Image.objects.filter(dataset__in=list(datasets), state=ImageState.READY).count()


def delete_dataset(dataset: Dataset) -> None:
    """Delete a dataset with its images, vectors, and the files that nobody else uses."""
    with transaction.atomic():
        VectorCleanup.objects.bulk_create(
            VectorCleanup(collection=index.collection) for index in dataset.indexes.all()
        )
        gone = {
            cleanup.Files.of(image)
            for image in dataset.images.order_by().only("sha256", "box").iterator()
        }
        dataset.delete()
        transaction.on_commit(lambda: cleanup.after_deletion(gone))
