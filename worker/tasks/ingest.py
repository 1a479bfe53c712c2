"""The task that makes received images searchable: decode, embed, thumbnails, vectors."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
import redis
from django.conf import settings
from numpy.typing import NDArray

from embeddings.errors import ImageError
from searchapp.infra import queue
from searchapp.infra.fetch import FetchError
from searchapp.infra.originals import open_original
from searchapp.infra.queue import celery_app
from searchapp.infra.vectors.errors import VectorsUnavailable
from searchapp.infra.vectors.store import get_store
from searchapp.models import Image, ImageState, Index, IndexState, Source, VectorCleanup
from searchapp.services.errors import ServiceError
from searchapp.services.filters.scalar_tokens import scalars_of
from searchapp.services.images import moves
from searchapp.services.imports import job_claim
from searchapp.services.indexes import lifecycle
from searchapp.services.ingest import claims, feature_claims
from searchapp.services.ingest.claims import Bad
from searchapp.services.operations import cleanup
from worker.runtime.engines import PipelineEngine, PipelineUnavailable, engine_for, warm_up
from worker.runtime.image_decoding import BadBox, look_at, note_facts
from worker.runtime.lease_renewal import prolonged
from worker.runtime.pixel_budget import room_for

log = logging.getLogger(__name__)
DECODE_THREADS = 2


@celery_app.task(name="ingest.process")
def process() -> None:
    """Process one batch of received images, then queue the next call.

    The call names no images: it may be lost, duplicated or late without harm.
    """
    warm_up()  # before anything is claimed: loading a model may take longer than a lease lasts
    try:
        get_store().ping()
    except VectorsUnavailable:
        return  # nothing could be finished; the sweeper calls again
    images = claims.claim(settings.INGEST_BATCH)
    if not images:
        return
    live = lifecycle.live({image.dataset_id for image in images})
    for dataset_id, members in groupby(
        sorted(images, key=lambda image: (image.dataset_id, image.pk)),
        key=lambda image: image.dataset_id,
    ):
        if dataset_id in live:  # else the dataset was just deleted, with its images
            batch = list(members)
            with prolonged(partial(claims.renew, batch)):
                _process(batch, live[dataset_id])
    if any(image.source == Source.COPY for image in images):
        moves.finish_moves()
    if any(image.source in (Source.IMPORT, Source.COPY) for image in images):
        job_claim.wake_worker()  # the queue has room for more files of that import
    if len(images) == settings.INGEST_BATCH or claims.waiting():
        with contextlib.suppress(queue.QueueUnavailable):  # then the sweeper calls
            queue.send("ingest.process")
    else:
        feature_claims.call_workers()


@dataclass(frozen=True)
class _Target:
    """An index that the images are added to, and the engine that computes its vectors."""

    index: Index
    engine: PipelineEngine


def _process(images: list[Image], live: Sequence[Index]) -> None:
    targets: list[_Target] = []
    for index in live:
        if index.state == IndexState.BUILDING and not index.runtime:
            # Its model may have to be measured on this machine first, for minutes. The images do
            # not wait for that: the index build adds them later.
            continue
        try:
            engine = engine_for(index.pipeline, index.fingerprint, index.precision)
            targets.append(_Target(index, engine))
        except PipelineUnavailable as error:
            if index is live[0]:  # the one that searches use; the others can be missing
                claims.fail(images, "pipeline_unavailable", str(error))
                return
            log.error("index %d gets no new images: %s", index.pk, error)
            lifecycle.fail(index, "pipeline_unavailable", str(error))
    good = list(_look_at(images, targets))
    if not good:
        return
    members = [picture.image for picture in good]
    try:
        started = time.perf_counter()
        for place, target in enumerate(targets):
            vectors = target.engine.pipeline.embed([picture.prepared[place] for picture in good])
            _store(target.index, members, vectors)
        share = (time.perf_counter() - started) / len(good)
    except VectorsUnavailable as error:
        log.warning("%d images wait for the vector store: %s", len(good), error)
        claims.release(members)
        return
    except Exception:
        log.exception("a batch failed")
        claims.fail(members, "internal_error", "The worker failed; its log says why.")
        return
    for picture in good:
        picture.image.duration = round(1000 * (picture.seconds + share))
    gone = set(claims.finish(members, [target.index.pk for target in targets]))
    with contextlib.suppress(redis.RedisError):  # needed only for the rate on a page
        queue.count_ready(len(members) - len(gone))
    if gone:
        _forget([image for image in members if image.pk in gone], targets)
    lifecycle.note_runtimes(
        {
            target.index.pk: (target.engine.pipeline.runtime, target.engine.pipeline.precision)
            for target in targets
            if not target.index.runtime
        }
    )


def _forget(images: Sequence[Image], targets: Sequence[_Target]) -> None:
    """Delete the files and vectors just written of images that were deleted meanwhile."""
    there = set(
        Index.objects.filter(pk__in=[target.index.pk for target in targets]).values_list(
            "pk", flat=True
        )
    )
    for target in targets:
        collection = target.index.collection
        VectorCleanup.objects.bulk_create(
            VectorCleanup(collection=collection, image_id=image.pk) for image in images
        )
        if target.index.pk not in there:
            VectorCleanup.objects.create(collection=collection)
    cleanup.after_deletion({cleanup.Files.of(image) for image in images})


def _store(index: Index, images: Sequence[Image], vectors: NDArray[np.float32]) -> None:
    store = get_store()
    store.ensure_collection(index.collection, index.dimension)
    scalars = [scalars_of(image) for image in images]
    store.upsert(index.collection, [image.pk for image in images], vectors, scalars)


@dataclass(frozen=True)
class _Picture:
    image: Image
    prepared: list[NDArray[np.uint8]]  # for each of the targets
    seconds: float


def _look_at(images: Sequence[Image], targets: Sequence[_Target]) -> Iterator[_Picture]:
    """Decode in threads; yield the good images, and record the bad ones in the ledger at the end.

    Only the model's small input leaves a thread, so a batch of huge images need not fit in memory.
    """
    bad: list[Bad] = []
    with ThreadPoolExecutor(DECODE_THREADS, thread_name_prefix="decode") as threads:
        futures = {threads.submit(_look, image, targets): image for image in images}
        for future in as_completed(futures):
            image = futures[future]
            try:
                yield future.result()
            except ImageError as error:
                bad.append(Bad(image, ImageState.REJECTED, error.code, error.detail))
            except BadBox as error:
                bad.append(Bad(image, ImageState.REJECTED, error.code, str(error)))
            except (ServiceError, FetchError) as error:  # of an original stored elsewhere
                bad.append(Bad(image, ImageState.FAILED, error.code, error.detail))
            except FileNotFoundError:
                detail = "The stored original is missing."
                bad.append(Bad(image, ImageState.FAILED, "original_missing", detail))
            except Exception:
                log.exception("image %s failed", image.pk)
                detail = "The worker failed; its log says why."
                bad.append(Bad(image, ImageState.FAILED, "internal_error", detail))
    claims.end(bad)


def _look(image: Image, targets: Iterable[_Target]) -> _Picture:
    """Decode one original, set its size and format, write thumbnails, prepare model inputs."""
    started = time.perf_counter()
    with open_original(image) as original:
        data = original.read()
    prepared: list[NDArray[np.uint8]] = []
    with room_for(data, patience=None):
        for target in targets:
            decoded = look_at(image, data, target.engine.pipeline)
            if not prepared:
                note_facts(image, decoded)
            prepared.append(target.engine.pipeline.prepare(decoded.image))
    image.duration = round(1000 * (time.perf_counter() - started))
    return _Picture(image, prepared, time.perf_counter() - started)
