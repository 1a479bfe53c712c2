"""Synchronisation of the filter scalars in Milvus with the database rows.

Images whose rows have changed are listed in `StaleScalars` until a worker has written their scalars
again; collections created by older versions are filled again. Vectors are read and written back
with the new scalars: nothing is embedded.

After writing, the rows are read once more: of two concurrent writers, the later one notices a
changed row and lists it again.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from django.db.models import Q
from django.dispatch import receiver

from searchapp.infra import queue
from searchapp.infra.vectors.collection_names import SCALARS_VERSION
from searchapp.infra.vectors.errors import CollectionMissing, VectorsError, VectorsUnavailable
from searchapp.infra.vectors.store import get_store
from searchapp.models import (
    LIVE_INDEXES,
    DatasetFacets,
    Image,
    ImageState,
    Index,
    StaleScalars,
    VectorCleanup,
)
from searchapp.models.scalars import SCALAR_COLUMNS, scalars_stale
from searchapp.services.errors import Unavailable
from searchapp.services.filters.scalar_tokens import SUM, scalars_of
from searchapp.services.indexes import lifecycle

log = logging.getLogger(__name__)
TASK = "maintenance.scalars"
AT_ONCE = 500  # images per batch: 3 MB of vectors
_OLD = Q(state__in=LIVE_INDEXES, scalars__lt=SCALARS_VERSION, dataset__deleted=None)


@receiver(scalars_stale)
def call_worker(**_: Any) -> None:
    """Wake a worker. A lost message does no harm: the periodic sweep sends another."""
    with contextlib.suppress(queue.QueueUnavailable):
        queue.send_once(TASK)


def waits() -> bool:
    """Return whether there is anything for a worker to do."""
    return StaleScalars.objects.exists() or Index.objects.filter(_OLD).exists()


def work(seconds: float) -> bool:
    """Synchronise for about `seconds`; returns whether more can be done now.

    Raises `VectorsUnavailable` when Milvus is down; the remaining work stays listed.
    """
    until = time.monotonic() + seconds
    while refresh() or refill():
        if time.monotonic() > until:
            return True
    return False


def refresh(limit: int = AT_ONCE) -> int:
    """Write the scalars of listed images; returns how many entries were processed.

    An image claimed by a worker stays listed, because the worker may have read the row before the
    change. The row of a waiting image is read when it is claimed.
    """
    claimed = Image.objects.filter(state=ImageState.PROCESSING).values("pk")
    entries = dict(
        StaleScalars.objects.exclude(image_id__in=claimed).values_list("pk", "image_id")[:limit]
    )
    if not entries:
        return 0
    images = _ready(set(entries.values()))
    by_dataset: dict[int, list[Image]] = {}
    for image in images:
        by_dataset.setdefault(image.dataset_id, []).append(image)
    for dataset, some in by_dataset.items():
        for index in Index.objects.filter(dataset=dataset, state__in=LIVE_INDEXES).defer("recipe"):
            write(index, some)
    StaleScalars.objects.filter(pk__in=entries).delete()
    # Changes made during the write have entries of their own, for the next round.
    DatasetFacets.objects.filter(dataset__in=by_dataset, is_stale=False).update(is_stale=True)
    return len(entries)


def _ready(keys: Iterable[int]) -> list[Image]:
    images = Image.objects.filter(pk__in=list(keys), state=ImageState.READY).order_by("pk")
    return list(images.only("dataset_id", *SCALAR_COLUMNS))


def refill() -> int:
    """Write scalars for the next images of a collection created by an older version.

    Returns the number of images, at least 1, or 0 when all collections are current.
    """
    index = Index.objects.filter(_OLD).defer("recipe").order_by("pk").first()
    if index is None:
        return 0
    ahead = lifecycle.members(index.dataset_id).filter(pk__gt=index.scalars_cursor).order_by("pk")
    images = list(ahead.only("dataset_id", *SCALAR_COLUMNS)[:AT_ONCE])
    write(index, images)
    # A concurrent worker processes the same images: the cursor only moves forward.
    unmoved = Index.objects.filter(pk=index.pk, scalars_cursor=index.scalars_cursor)
    if images:
        unmoved.update(scalars_cursor=images[-1].pk)
    else:
        unmoved.update(scalars=SCALARS_VERSION, scalars_cursor=0)
        log.info("index %d can be filtered now", index.pk)
    return max(1, len(images))


def write(index: Index, images: Sequence[Image]) -> None:
    """Write the scalars of those `images` whose vectors `index` has.

    Raises `VectorsUnavailable` when Milvus is down.
    """
    store = get_store()
    try:
        vectors = store.fetch(index.collection, [image.pk for image in images])
        there = [image for image in images if image.pk in vectors]
        if not there:
            return
        store.upsert(
            index.collection,
            [image.pk for image in there],
            np.stack([vectors[image.pk] for image in there]),
            [scalars_of(image) for image in there],
        )
    except CollectionMissing:
        return  # retired a moment ago
    except VectorsUnavailable:
        raise
    except VectorsError:
        # Do not retry the same images forever: the audit reports stale scalars.
        log.exception("scalars of %d images of index %d cannot be written", len(images), index.pk)
        return
    look_again(index, there)


def look_again(index: Index, images: Sequence[Image]) -> None:
    """Verify images that were just written into `index`: list those whose rows have changed since
    they were read, and queue the deletion of vectors of those deleted meanwhile."""
    rows = Image.objects.filter(pk__in=[image.pk for image in images])
    now = rows.only("state", *SCALAR_COLUMNS).in_bulk()
    changed = [
        image.pk
        for image in images
        if image.pk in now and _written(now[image.pk]) != _written(image)
    ]
    StaleScalars.note(changed)
    gone = [
        image.pk
        for image in images
        if image.pk not in now or now[image.pk].state == ImageState.DELETED
    ]
    if gone:
        VectorCleanup.objects.bulk_create(
            VectorCleanup(collection=index.collection, image_id=key) for key in gone
        )


def _written(image: Image) -> list[Any]:
    return [getattr(image, name) for name in SCALAR_COLUMNS]


def require(indexes: Iterable[Index]) -> None:
    """Raises `Unavailable` (`filters_not_ready`) when not all of these indexes can be filtered."""
    old = [index for index in indexes if index.scalars < SCALARS_VERSION]
    if not old:
        return
    left = sum(
        lifecycle.members(index.dataset_id).filter(pk__gt=index.scalars_cursor).count()
        for index in old
    )
    raise Unavailable(
        "filters_not_ready",
        f"Filters are being prepared after an update; {left} pictures are still to do. "
        "Search without a filter, or try again in a few minutes.",
        retry_after=30,
    )


def stale(index: Index, images: Sequence[Image]) -> list[int]:
    """Return the keys of those `images` whose scalars in `index` differ from their rows.

    Images without a vector are not included.
    """
    digests = get_store().scalars(index.collection, [image.pk for image in images], SUM)
    return [
        image.pk
        for image in images
        if image.pk in digests and digests[image.pk] != scalars_of(image)[SUM]
    ]
