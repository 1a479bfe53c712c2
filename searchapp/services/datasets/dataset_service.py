"""Create, change and count datasets."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cachetools import TTLCache
from django.db import IntegrityError, transaction
from django.db.models import Count
from django.utils import timezone
from django.utils.text import slugify

from embeddings.recipes import DEFAULT_PIPELINE, recipe
from searchapp.models import Dataset, FormerSlug, Image, ImageState, Index, IndexState
from searchapp.services.errors import Conflict, Gone, Invalid

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_SLUG = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
RESERVED_SLUGS = frozenset({"new", "all"})  # addresses of pages, and 'all datasets' in a search


def create_dataset(
    *,
    name: str,
    owner: User,
    slug: str = "",
    description: str = "",
    visibility: str = "private",
    index_like: Index | None = None,
) -> Dataset:
    """Create a dataset with its active index: with the default pipeline, or that of another index.

    Raises `Invalid` with code `invalid_name` or `invalid_slug`, and `Conflict` with code
    `slug_taken`.
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
        if not slug and FormerSlug.objects.filter(slug=candidate).exists():
            continue  # reserved, and the caller did not ask for this very slug
        try:
            return _create(name, candidate, description, visibility, owner, index_like)
        except IntegrityError:
            continue
    raise _slug_taken(slug)


def _slug_taken(slug: str) -> Conflict:
    """Say no more than that it is not to be had: who has it may be private."""
    return Conflict("slug_taken", f"The slug '{slug}' cannot be had: choose another one.")


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
def _create(
    name: str, slug: str, description: str, visibility: str, owner: User, like: Index | None
) -> Dataset:
    dataset = Dataset.objects.create(
        name=name, slug=slug, description=description, visibility=visibility, owner=owner
    )
    # A slug in use wins over a former one: the other dataset is found under its newer slug.
    FormerSlug.objects.filter(slug=slug).delete()
    chosen = recipe(DEFAULT_PIPELINE)
    Index.objects.create(
        dataset=dataset,
        state=IndexState.ACTIVE,
        pipeline=chosen.name if like is None else like.pipeline,
        recipe=chosen.to_dict() if like is None else like.recipe,
        fingerprint=chosen.fingerprint if like is None else like.fingerprint,
        dimension=chosen.dimension if like is None else like.dimension,
    )
    return dataset


def change_dataset(
    dataset: Dataset,
    *,
    name: str | None = None,
    slug: str | None = None,
    description: str | None = None,
    visibility: str | None = None,
) -> None:
    """Change the given fields. Addresses with the former slug still lead to the dataset.

    Raises `Invalid` with code `invalid_name` or `invalid_slug`, `Conflict` with code `slug_taken`,
    and `Gone` with code `dataset_deleted` when it has just been deleted.
    """
    changes: dict[str, Any] = {"updated": timezone.now()}
    if name is not None:
        changes["name"] = name.strip()
        if not changes["name"]:
            raise Invalid("invalid_name", "A dataset needs a name.")
    if slug is not None and slug != dataset.slug:
        check_slug(slug)
        changes["slug"] = slug
    if description is not None:
        changes["description"] = description
    if visibility is not None:
        changes["visibility"] = visibility
    try:
        with transaction.atomic():
            # An update, never an insert: the dataset may have been deleted meanwhile.
            there = Dataset.objects.filter(pk=dataset.pk, deleted=None)
            before = there.select_for_update().values_list("slug", flat=True).first()
            if before is None:
                raise Gone("dataset_deleted", "This dataset was deleted meanwhile.")
            there.update(**changes)
            if slug is not None and slug != before:
                FormerSlug.objects.filter(slug=slug).delete()
                FormerSlug.objects.update_or_create(slug=before, defaults={"dataset": dataset})
    except IntegrityError:
        raise _slug_taken(slug or "") from None
    for field, value in changes.items():
        setattr(dataset, field, value)


def counts(dataset: Dataset) -> dict[str, int]:
    """Return the number of images by state, including all states, and their `total`."""
    return counts_of([dataset])[dataset.pk]


def counts_of(datasets: Iterable[Dataset]) -> dict[int, dict[str, int]]:
    """Return `counts` for several datasets by their key, in one statement."""
    states = [str(state) for state in ImageState if state != ImageState.DELETED]
    by_dataset = {dataset.pk: dict.fromkeys(states, 0) for dataset in datasets}
    rows = (
        Image.objects.filter(dataset__in=by_dataset, state__in=states)
        .order_by()
        .values_list("dataset_id", "state")
        .annotate(number=Count("pk"))
    )
    for dataset_id, state, number in rows:
        by_dataset[dataset_id][state] = number
    for by_state in by_dataset.values():
        by_state["total"] = sum(by_state.values())
    return by_dataset


def ready_count(datasets: Iterable[int]) -> int:
    """Return how many images searches of these datasets, given by their keys, can find now."""
    keys = tuple(sorted(datasets))
    with _lock:
        known = _counted.get(keys)
    if known is not None:
        return known
    number = Image.objects.filter(dataset__in=keys, state=ImageState.READY).count()
    if number > _MANY:
        with _lock:
            _counted[keys] = number
    return number


# Above this number of images, the count is cached for some seconds: the database would count them
# at each search.
_MANY = 10_000
_counted: TTLCache[tuple[int, ...], int] = TTLCache(100, 5.0)
_lock = threading.Lock()
