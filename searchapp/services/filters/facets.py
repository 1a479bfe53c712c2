"""Facets of datasets: the fields to filter by, their kinds, values and counts.

All rows are counted, so that a field which three of 200,000 images have is included. Counts are
stored (`DatasetFacets`): small datasets are counted on request, large ones by a worker, whose
counts are used until it has counted again.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cachetools import TTLCache
from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from searchapp.infra import queue
from searchapp.models import Dataset, DatasetFacets, Image, ImageState
from searchapp.services.errors import Unavailable
from searchapp.services.filters.facet_counts import Counted, count_pictures, merge
from searchapp.services.filters.fields import FIXED, METADATA, FieldKind, iso_of

TASK = "maintenance.facets"
MAX_FACET_VALUES = 20  # returned per field
# Datasets up to this many images are counted on request, in about a tenth of a second.
SMALL = 3000
# How long callers wait for the first count of a large dataset; a count is not repeated before its
# age is `_REST` times its duration.
WAIT_SECONDS = 4.0
_REST = 20
_LIFE = timedelta(hours=1)
_LEASE = timedelta(minutes=6)  # longer than a task may run


@dataclass(frozen=True)
class Value:
    """A value, as it is spelled in the images, and the number of images that have it."""

    value: str
    number: int


@dataclass(frozen=True)
class Facet:
    """A field that images can be filtered by.

    `others` counts the images (words, where the kind is words) with values beyond `values`. `low`
    and `high` are the minimum and maximum of numbers and, as ISO dates, of dates.
    """

    name: str  # as used in a filter
    title: str
    kind: FieldKind
    number: int  # of images that have it
    values: tuple[Value, ...] = ()
    others: int = 0
    low: float | str | None = None
    high: float | str | None = None


@dataclass(frozen=True)
class Schema:
    """The facets of some datasets: first the fields that all images have, then metadata, the most
    frequent first. `pictures` is the number of images, `counted` the time of the oldest count."""

    facets: tuple[Facet, ...]
    pictures: int
    counted: datetime | None

    def facet(self, name: str) -> Facet | None:
        return next((facet for facet in self.facets if facet.name == name), None)


def schema_of(datasets: Sequence[Dataset], patience: float = WAIT_SECONDS) -> Schema:
    """Return the facets of the ready images of `datasets`.

    The first count of a large dataset, by a worker, is waited for up to `patience` seconds.
    Raises `Unavailable` (`facets_not_counted`) when it takes longer.
    """
    keys = [dataset.pk for dataset in datasets]
    rows = _rows(keys)
    now = _state_of([key for key in keys if not _was_looked_at(key, rows.get(key))])
    stale = [key for key in now if _is_stale(rows.get(key), now[key])]
    for key in stale:
        if now[key][0] <= SMALL:
            rows[key] = count(key)
    late = [key for key in stale if now[key][0] > SMALL and _may_count(rows.get(key))]
    if late:
        _want(late)
    missing = set(keys) - rows.keys()
    deadline = time.monotonic() + patience
    while missing:
        if time.monotonic() > deadline:
            raise Unavailable(
                "facets_not_counted",
                "What these pictures can be filtered by is being counted: ask again in a moment.",
                retry_after=5,
            )
        time.sleep(min(0.1, patience))
        rows |= _rows(missing)
        missing -= rows.keys()
    return _schema([rows[key] for key in keys])


def _rows(keys: Iterable[int]) -> dict[int, DatasetFacets]:
    counted = DatasetFacets.objects.filter(dataset__in=list(keys)).exclude(counted=None)
    return {row.dataset_id: row for row in counted}


def _want(keys: Sequence[int]) -> None:
    """Let a worker count these datasets. A lost message does no harm: the sweep sends another."""
    with transaction.atomic():
        DatasetFacets.objects.bulk_create(
            [DatasetFacets(dataset_id=key) for key in keys], ignore_conflicts=True
        )
        DatasetFacets.objects.filter(dataset__in=keys).update(is_wanted=True)
        transaction.on_commit(call_worker)


def call_worker() -> None:
    with contextlib.suppress(queue.QueueUnavailable):
        queue.send_once(TASK)


def want_first_counts() -> None:
    """Let a worker count large datasets that have no facets yet, before they are requested."""
    uncounted = Image.objects.filter(dataset__facets=None, state=ImageState.READY).order_by()
    large = uncounted.values("dataset").annotate(number=Count("pk")).filter(number__gt=SMALL)
    if keys := list(large.values_list("dataset", flat=True)):
        _want(keys)


def waits() -> bool:
    """Return whether a count waits for a worker."""
    return _wanted().exists()


def _wanted() -> QuerySet[DatasetFacets]:
    free = Q(lease_until=None) | Q(lease_until__lt=timezone.now())
    return DatasetFacets.objects.filter(free, is_wanted=True).order_by("pk")


def count_next() -> bool:
    """Count one of the waiting datasets; returns whether another one waits."""
    key = _wanted().values_list("dataset_id", flat=True).first()
    if key is None:
        return False
    if _wanted().filter(dataset=key).update(lease_until=timezone.now() + _LEASE):
        count(key)
    return waits()


def count(dataset: int) -> DatasetFacets:
    """Count the images of a dataset, given by its key, and store the result."""
    started = time.monotonic()
    # Before the first row is read, so that changes from now on make it stale again.
    DatasetFacets.objects.filter(dataset=dataset).update(is_stale=False)
    pictures, newest = _state_of([dataset])[dataset]
    counted = count_pictures(dataset)
    row, _ = DatasetFacets.objects.update_or_create(
        dataset_id=dataset,
        defaults={
            "fields": counted,
            "pictures": pictures,
            "newest": newest,
            "counted": timezone.now(),
            "seconds": time.monotonic() - started,
            "is_wanted": False,
            "lease_until": None,
        },
    )
    return row


def _state_of(keys: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Return the number of ready images of each dataset, and the key of the newest."""
    states = dict.fromkeys(keys, (0, 0))
    ready = Image.objects.filter(dataset__in=keys, state=ImageState.READY).order_by()
    counted = ready.values_list("dataset_id").annotate(number=Count("pk"), newest=Max("pk"))
    for key, number, newest in counted:
        states[key] = (number, newest)
    return states


# Large datasets whose images this process has counted recently: the count reads as many index
# entries, and every page of results needs the schema.
_looked_at: TTLCache[int, bool] = TTLCache(1000, 10.0)
_lock = threading.Lock()


def _was_looked_at(key: int, row: DatasetFacets | None) -> bool:
    """Return whether a large dataset was checked recently, and mark it as checked."""
    if row is None or row.is_stale or row.pictures <= SMALL:
        return False
    with _lock:
        was = key in _looked_at
        if not was:
            _looked_at[key] = True
    return was


def _is_stale(row: DatasetFacets | None, now: tuple[int, int]) -> bool:
    if row is None or row.counted is None or row.is_stale or (row.pictures, row.newest) != now:
        return True
    return row.counted < timezone.now() - _LIFE


def _may_count(row: DatasetFacets | None) -> bool:
    """Return whether the last count is old enough; a dataset that grows is always stale."""
    if row is None or row.counted is None:
        return True
    return row.counted < timezone.now() - timedelta(seconds=_REST * row.seconds)


def _schema(rows: Sequence[DatasetFacets]) -> Schema:
    merged = merge([row.fields for row in rows])
    fixed = [_facet(merged[name], FIXED[name].title, name) for name in FIXED if name in merged]
    others = sorted(
        (counted for name, counted in merged.items() if name.startswith(METADATA)),
        key=lambda counted: (-counted.number, counted.name),
    )
    facets = [*fixed, *(_facet(one, one.name.removeprefix(METADATA), one.name) for one in others)]
    moments = [row.counted for row in rows if row.counted is not None]
    return Schema(tuple(facets), sum(row.pictures for row in rows), min(moments, default=None))


def _facet(counted: Counted, title: str, name: str) -> Facet:
    kind = FIXED[name].kind if name in FIXED else counted.kind
    low, high = (counted.dates if kind == FieldKind.DATE else counted.numbers) or (None, None)
    top = sorted(counted.values.values(), key=lambda one: (-one[1], one[0]))[:MAX_FACET_VALUES]
    shown = () if kind == FieldKind.DATE else tuple(Value(text, number) for text, number in top)
    return Facet(
        name=name,
        title=title,
        kind=kind,
        number=counted.number,
        values=shown,
        others=counted.total - sum(value.number for value in shown) if shown else 0,
        low=iso_of(low) if kind == FieldKind.DATE and low is not None else low,
        high=iso_of(high) if kind == FieldKind.DATE and high is not None else high,
    )
