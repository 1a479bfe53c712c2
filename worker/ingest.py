"""The task that turns received pictures into searchable ones."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from django.conf import settings

from embeddings.errors import ImageError
from embeddings.operators.thumbnails import dominant_color, shrink, thumbnail
from embeddings.pipelines import ImagePipeline
from searchapp import queue, storage
from searchapp.models import Image, Index, IndexState, VectorCleanup
from searchapp.queue import celery_app
from searchapp.services import cleanup, ledger
from searchapp.vectors.errors import VectorsUnavailable
from searchapp.vectors.store import get_store
from worker.engines import PipelineUnavailable, engine_for, warm_up

log = logging.getLogger(__name__)
DECODE_THREADS = 2
_RENEW_SECONDS = 10.0


@celery_app.task(name="ingest.process")
def process() -> None:
    """Take one batch of what waits, and call for the next.

    The call itself names no images: it may be lost, doubled or late without harm.
    """
    warm_up()  # before anything is claimed: loading a model may take longer than a lease lasts
    try:
        get_store().ping()
    except VectorsUnavailable:
        return  # nothing could be finished; the sweeper calls again
    images = ledger.claim(settings.INGEST_BATCH)
    if not images:
        return
    for dataset_id, members in groupby(
        sorted(images, key=lambda image: (image.dataset_id, image.pk)),
        key=lambda image: image.dataset_id,
    ):
        index = Index.objects.filter(dataset_id=dataset_id, state=IndexState.ACTIVE).first()
        if index is not None:  # else the dataset was deleted a moment ago, its images with it
            _process(list(members), index)
    if ledger.waiting():
        queue.send("ingest.process")


def _process(images: list[Image], index: Index) -> None:
    try:
        engine = engine_for(index.pipeline, index.fingerprint)
    except PipelineUnavailable as error:
        for image in images:
            ledger.fail(image, "pipeline_unavailable", str(error))
        return
    good = list(_look_at(images, engine.pipeline))
    if not good:
        return
    members = [picture.image for picture in good]
    try:
        vectors = engine.pipeline.embed([picture.prepared for picture in good])
        ledger.renew(members)
        _store(index, members, vectors)
    except VectorsUnavailable as error:
        log.warning("%d images wait for the vector store: %s", len(good), error)
        ledger.release(members)
        return
    except Exception:
        log.exception("a batch failed")
        for image in members:
            ledger.fail(image, "internal_error", "The worker failed; its log says why.")
        return
    gone = set(ledger.finish(members))
    if gone:  # deleted while we worked: so must be what we have just written
        VectorCleanup.objects.bulk_create(
            VectorCleanup(collection=index.collection, image_id=pk) for pk in sorted(gone)
        )
        if not Index.objects.filter(pk=index.pk).exists():
            VectorCleanup.objects.create(collection=index.collection)
        cleanup.after_deletion({image.sha256 for image in members if image.pk in gone})
    Index.objects.filter(pk=index.pk, runtime="").update(
        runtime=engine.pipeline.runtime, precision=engine.pipeline.precision
    )


def _store(index: Index, images: Sequence[Image], vectors: np.ndarray) -> None:
    store = get_store()
    store.ensure_collection(index.collection, index.dimension)
    store.upsert(index.collection, [image.pk for image in images], vectors)


@dataclass(frozen=True)
class _Picture:
    image: Image
    prepared: np.ndarray


def _look_at(images: Sequence[Image], pipeline: ImagePipeline) -> Iterable[_Picture]:
    """Decode in threads; yield the good ones, write the bad ones into the ledger.

    Only the model's small input leaves a thread: a batch of huge pictures need not fit in memory.
    """
    renewed = time.monotonic()
    with ThreadPoolExecutor(DECODE_THREADS, thread_name_prefix="decode") as threads:
        futures = {threads.submit(_look, image, pipeline): image for image in images}
        for future in as_completed(futures):
            image = futures[future]
            try:
                yield _Picture(image, future.result())
            except ImageError as error:
                ledger.reject(image, error.code, error.detail)
            except FileNotFoundError:
                ledger.fail(image, "original_missing", "The stored original is missing.")
            except Exception:
                log.exception("image %s failed", image.pk)
                ledger.fail(image, "internal_error", "The worker failed; its log says why.")
            if time.monotonic() - renewed > _RENEW_SECONDS:
                ledger.renew(images)
                renewed = time.monotonic()


def _look(image: Image, pipeline: ImagePipeline) -> np.ndarray:
    """Decode one original, set its facts, write its thumbnails, return the model's input."""
    with storage.open_original(image.sha256) as original:
        decoded = pipeline.decode(original, max_pixels=settings.MAX_PIXELS)
    picture = decoded.image
    image.format, image.width, image.height = decoded.format, decoded.width, decoded.height
    small = picture
    for side in sorted(storage.THUMBNAIL_SIDES, reverse=True):
        small = shrink(small, side)  # each from the one before: the cost is that of the largest
        storage.put_thumbnail(image.sha256, side, thumbnail(small, side))
    image.color = dominant_color(small)
    return pipeline.prepare(picture)
