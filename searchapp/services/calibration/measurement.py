"""Measurement of score calibrations from a sample of an index's vectors; no model is loaded."""

from __future__ import annotations

import random
import time

import numpy as np
from django.db import transaction
from django.db.models import Count, F
from django.utils import timezone

from searchapp.infra.vectors.store import get_store
from searchapp.models import Calibration, Image, ImageState, Index, IndexState
from searchapp.services.calibration.statistics import Scores, figures

TASK = "maintenance.calibrate"
VERSION = 1
# Fewer images say nothing about the scores of unrelated ones.
MIN_IMAGES = 30
MAX_SAMPLED = 256
# Of the sample, this many are searched for; an exact search reads every vector, hence the limit.
MAX_SEARCHED = 128
SEARCH_SECONDS = 4.0
_CALIBRATED = (IndexState.ACTIVE, IndexState.READY)
# Measured again when the number of images has changed by these factors.
_GROWN, _SHRUNK = 1.5, 0.5
# Spreads keys evenly: the sample must not follow the order in which images were added.
_SPREAD, _RANGE = 2_654_435_761, 2**32
_MAX_KEY = 2**31


def due() -> list[Index]:
    """Return the indexes that have no calibration, or one of far fewer or more images."""
    rows = Index.objects.filter(state__in=_CALIBRATED, dataset__deleted=None)
    rows = rows.defer("recipe").select_related("calibration").order_by("pk")
    live = list(rows)
    numbers = dict(
        Image.objects.filter(
            dataset__in={index.dataset_id for index in live}, state=ImageState.READY
        )
        .order_by()
        .values_list("dataset_id")
        .annotate(number=Count("pk"))
    )
    return [index for index in live if _is_due(index, numbers.get(index.dataset_id, 0))]


def _is_due(index: Index, images: int) -> bool:
    calibration: Calibration | None = getattr(index, "calibration", None)
    if images < MIN_IMAGES:
        return False
    if calibration is None or calibration.version != VERSION:
        return True
    return not _SHRUNK * calibration.images < images < _GROWN * calibration.images


def calibrate(index: Index) -> Calibration | None:
    """Measure an index and store the figures; None when it has too few vectors or was retired.

    Safe to run twice at the same time, and to be killed at any time. Raises `VectorsUnavailable`
    when Milvus is down.
    """
    images = Image.objects.filter(dataset=index.dataset_id, state=ImageState.READY).count()
    keys = sample(index, images)
    vectors = get_store().fetch(index.collection, keys)
    if len(vectors) < MIN_IMAGES:
        return None
    sampled = np.stack([vectors[key] for key in sorted(vectors)])
    scores = (sampled @ sampled.T)[np.triu_indices(len(sampled), 1)]
    measured = figures(scores, _nearest(index, vectors), images)
    with transaction.atomic():
        # It may have been retired, or deleted, while it was measured.
        there = Index.objects.select_for_update().filter(pk=index.pk, state__in=_CALIBRATED)
        if there.first() is None:
            return None
        calibration, _ = Calibration.objects.update_or_create(
            index=index,
            defaults={
                "version": VERSION,
                "images": images,
                "sampled": len(sampled),
                "pairs": len(scores),
                "lower": measured.lower,
                "usual": measured.usual,
                "upper": measured.upper,
                "random_counts": measured.random_counts,
                "nearest_counts": measured.nearest_counts,
                "quantiles": measured.quantiles,
                "made": timezone.now(),
            },
        )
    return calibration


def sample(index: Index, images: int) -> list[int]:
    """Return a random sample of keys of ready images, spread evenly over the dataset."""
    ready = Image.objects.filter(dataset=index.dataset_id, state=ImageState.READY).order_by()
    drawn = random.Random()  # noqa: S311 (a sample, not a secret)
    if images > 8 * MAX_SAMPLED:
        threshold = 2 * MAX_SAMPLED * _RANGE // images
        place = (F("pk") % _MAX_KEY * _SPREAD + drawn.randrange(_RANGE)) % _RANGE
        ready = ready.alias(place=place).filter(place__lt=threshold)
    keys = list(ready.values_list("pk", flat=True)[: 8 * MAX_SAMPLED])
    return drawn.sample(keys, min(MAX_SAMPLED, len(keys)))


def _nearest(index: Index, vectors: dict[int, Scores]) -> Scores:
    """Return, for some sampled images, the score of the nearest other image; float32, (n,)."""
    until = time.monotonic() + SEARCH_SECONDS
    best: list[float] = []
    for key in list(vectors)[:MAX_SEARCHED]:
        if best and time.monotonic() > until:
            break
        hits = get_store().search(index.collection, vectors[key], 2)
        others = [hit.score for hit in hits if hit.image_id != key]
        if others:
            best.append(others[0])
    return np.array(best, dtype=np.float32)
