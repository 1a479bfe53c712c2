"""Tasks that fill indexes from the stored originals."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from embeddings.errors import ImageError
from searchapp.infra.originals import open_original
from searchapp.infra.queue import celery_app
from searchapp.infra.vectors.errors import VectorsError, VectorsUnavailable
from searchapp.infra.vectors.store import get_store
from searchapp.models import Image, ImageState, Index, IndexChunk, IndexState
from searchapp.services.filters import scalar_sync
from searchapp.services.filters.scalar_tokens import scalars_of
from searchapp.services.indexes import build, lifecycle
from worker.runtime.engines import PipelineEngine, PipelineUnavailable, engine_for
from worker.runtime.image_decoding import BadBox, look_at, note_facts
from worker.runtime.lease_renewal import prolonged
from worker.runtime.pixel_budget import room_for

log = logging.getLogger(__name__)
# A call takes about this long: imports and index builds alternate in one queue.
BUDGET_SECONDS = 2.0
DECODE_THREADS = 2
_LOOKED_UP = 1000  # images whose vectors are looked up in one call
_Gap = tuple[int, str, str]


class _Lost(Exception):
    """Another worker has claimed the chunk, or the index is no longer being built."""


# A model that is new on this machine is converted and measured first. On a busy machine that takes
# many minutes, and would start over if the time limit cut it short.
@celery_app.task(name=lifecycle.TASK, soft_time_limit=3500, time_limit=3600)
def advance() -> None:
    """Add some images to an index that needs them, then queue the next call.

    The call names no index: it may be lost, duplicated or late without harm.
    """
    try:
        get_store().ping()
    except VectorsUnavailable:
        return  # the sweeper calls again
    did = False
    for index in build.waiting():
        engine = _engine(index)
        if engine is None:
            continue
        # The budget starts after the model is loaded.
        until = time.monotonic() + BUDGET_SECONDS
        while time.monotonic() < until:
            chunk = build.claim(index)
            if chunk is None:
                break
            if not did:
                lifecycle.call_workers()  # others may work beside this one
            did = True
            if not _fill(index, chunk, engine, until):
                break
        if did:
            break
    if did:
        lifecycle.call_workers()


def _engine(index: Index) -> PipelineEngine | None:
    """Load the model before a chunk is claimed: this may take longer than a lease lasts."""
    try:
        return engine_for(index.pipeline, index.fingerprint, index.precision)
    except PipelineUnavailable as error:
        log.error("index %d cannot be filled: %s", index.pk, error)
        lifecycle.fail(index, "pipeline_unavailable", str(error))
        return None


def _fill(index: Index, chunk: IndexChunk, engine: PipelineEngine, until: float) -> bool:
    """Add the images of a chunk; return whether it succeeded.

    Images that there is no time for are left to the next call.
    """
    try:
        get_store().ensure_collection(index.collection, index.dimension)
        while images := build.images_in(index, chunk, _LOOKED_UP):
            _add(index, chunk, engine, images, until)
            if time.monotonic() > until:
                build.release(chunk)
                return True
        build.finish(chunk)
    except _Lost:
        return False
    except VectorsUnavailable as error:
        log.warning("index %d waits for the vector store: %s", index.pk, error)
        build.release(chunk, pause=True)
        return False
    except VectorsError as error:
        log.exception("index %d cannot be filled", index.pk)
        lifecycle.fail(index, error.code, str(error))
        build.release(chunk, pause=True)
        return False
    except Exception:
        log.exception("a stretch of index %d failed", index.pk)
        build.release(chunk, pause=True, counts=True)
        return False
    _note_runtime(index, engine)
    return True


def _add(
    index: Index, chunk: IndexChunk, engine: PipelineEngine, images: Sequence[Image], until: float
) -> None:
    """Add those of `images` that the index lacks, a batch at a time, while there is time.

    If a worker has died in this chunk, images are processed one by one; an image at which workers
    die repeatedly is left out.
    """
    keys = [image.pk for image in images]
    there = get_store().known(index.collection, keys)
    there |= set(index.gaps.filter(image__in=keys).values_list("image_id", flat=True))
    todo = [image for image in images if image.pk not in there]
    passed = len(images) - len(todo)
    if todo and chunk.attempts > build.MAX_ATTEMPTS:
        died = f"The worker failed {build.MAX_ATTEMPTS} times at this picture."
        build.note_gaps(index, [(todo.pop(0).pk, "worker_died", died)])
        passed += 1
    size = settings.INGEST_BATCH if chunk.attempts < 2 else 1
    for start in range(0, len(todo), size):
        batch = todo[start : start + size]
        is_last = start + size >= len(todo)
        took = time.perf_counter()
        with prolonged(partial(build.renew, chunk)):
            embedded = _embed(index, engine, batch)
        took = time.perf_counter() - took
        upto = keys[-1] if is_last else batch[-1].pk
        going = build.step(index, chunk, upto, passed + len(batch), embedded, took)
        passed = 0
        build.forget_strays(index, [image.pk for image in batch])
        if not going:
            raise _Lost
        if time.monotonic() > until:
            return
    if not todo and not build.step(index, chunk, keys[-1], passed, 0, 0.0):
        raise _Lost


def _embed(index: Index, engine: PipelineEngine, batch: Sequence[Image]) -> int:
    """Decode, embed and store a batch; return how many images were added."""
    good: list[tuple[Image, NDArray[np.uint8]]] = []
    gaps: list[_Gap] = []
    with ThreadPoolExecutor(DECODE_THREADS, thread_name_prefix="decode") as threads:
        futures = {threads.submit(_prepare, image, engine): image for image in batch}
        for future in as_completed(futures):
            image = futures[future]
            try:
                good.append((image, future.result()))
            except (ImageError, BadBox) as error:
                gaps.append((image.pk, error.code, str(error)))
            except FileNotFoundError:
                gaps.append((image.pk, "original_missing", "The stored original is missing."))
    if good:
        vectors = engine.pipeline.embed([prepared for _, prepared in good])
        images = [image for image, _ in good]
        written = [scalars_of(image) for image in images]
        get_store().upsert(index.collection, [image.pk for image in images], vectors, written)
        scalar_sync.look_again(index, images)
    if gaps:
        build.note_gaps(index, gaps)
    return len(good)


def _prepare(image: Image, engine: PipelineEngine) -> NDArray[np.uint8]:
    with open_original(image) as original:
        data = original.read()
    with room_for(data, patience=None):
        return engine.pipeline.prepare(look_at(image, data, engine.pipeline).image)


def _note_runtime(index: Index, engine: PipelineEngine) -> None:
    if not index.runtime:
        pipeline = engine.pipeline
        lifecycle.note_runtimes({index.pk: (pipeline.runtime, pipeline.precision)})


@celery_app.task(name="indexing.look_again")
def look_again(images: list[int]) -> None:
    """Recreate the thumbnails, size and format of ready images from their originals."""
    for image in Image.objects.filter(pk__in=images, state=ImageState.READY):
        index = Index.objects.filter(dataset=image.dataset_id, state=IndexState.ACTIVE).first()
        if index is None:
            continue
        try:
            engine = engine_for(index.pipeline, index.fingerprint)
            with open_original(image) as original:
                decoded = look_at(image, original.read(), engine.pipeline)
        except (ImageError, BadBox, PipelineUnavailable, FileNotFoundError) as error:
            log.warning("image %d cannot be looked at again: %s", image.pk, error)
            continue
        facts = note_facts(image, decoded)
        Image.objects.filter(pk=image.pk, state=ImageState.READY).update(
            **{name: getattr(image, name) for name in facts}
        )
