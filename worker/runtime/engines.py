"""The loaded models of a worker process: one pipeline and batcher per fingerprint and precision."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from django.conf import settings
from PIL import Image as PillowImage

from embeddings.batching import Batcher
from embeddings.errors import EmbeddingsError, RuntimeUnavailable
from embeddings.pipelines import ImagePipeline, pipeline
from embeddings.recipes import DEFAULT_PIPELINE, recipe
from embeddings.runtimes.conversion_job import convert_elsewhere, is_converted
from embeddings.runtimes.selection import precisions
from embeddings.thread_count import set_threads

log = logging.getLogger(__name__)


class PipelineUnavailable(Exception):
    """This worker cannot load the pipeline, or has another version than the index."""


@dataclass
class PipelineEngine:
    pipeline: ImagePipeline
    batcher: Batcher
    used: float = 0.0  # monotonic clock, seconds


# Models in memory at once: the one that searches use, one for an index that is being built, and
# two for datasets with other pipelines. The least recently used are unloaded.
MAX_ENGINES = 4
# After this time, no caller uses an engine any more.
_IDLE_SECONDS = 120.0

_Key = tuple[str, str]  # fingerprint and precision
_engines: dict[_Key, PipelineEngine] = {}
_loading: dict[_Key, threading.Lock] = {}
_lock = threading.Lock()


def engine_for(name: str, fingerprint: str, precision: str = "") -> PipelineEngine:
    """Return the engine that computes exactly the vectors of `fingerprint`.

    Vectors of an index have the `precision` of its first ones, which the index records. Without
    one, as for queries, this machine chooses among the precisions whose vectors agree.

    Raises `PipelineUnavailable` when this version's recipe of that name has another fingerprint,
    or cannot be loaded.
    """
    key = fingerprint, precision
    with _lock:
        loading = _loading.setdefault(key, threading.Lock())
    with loading:  # one lock per model: loading one does not delay callers of another
        with _lock:
            engine = _engines.pop(key, None)
            if engine is not None:
                return _used(key, engine)
        engine = _load(name, fingerprint, precision)
        with _lock:
            return _used(key, engine)


def _load(name: str, fingerprint: str, precision: str) -> PipelineEngine:
    set_threads(1)  # see worker.app
    try:
        image_pipeline = _pipeline(name, precision)
    except EmbeddingsError as error:
        raise PipelineUnavailable(error.detail) from error
    if image_pipeline.fingerprint != fingerprint:
        raise PipelineUnavailable(
            f"The index was made by another version of the pipeline {name}: "
            f"{fingerprint[:12]}, not {image_pipeline.fingerprint[:12]}. Re-index the dataset."
        )
    return PipelineEngine(image_pipeline, Batcher(image_pipeline.embed))


def _pipeline(name: str, precision: str) -> ImagePipeline:
    """Return the pipeline in that precision, or in the one that this machine chooses.

    A data folder may have moved to a machine whose processor or runtime lacks the precision, or
    only emulates it.
    """
    if precision in precisions():
        try:
            return pipeline(name, runtime=settings.RUNTIME, precision=precision)
        except RuntimeUnavailable as error:
            log.warning("%s is not computed in %s: %s", name, precision, error.detail)
    elif precision:
        log.warning("%s is not computed in %s: this processor has none", name, precision)
    return pipeline(name, runtime=settings.RUNTIME)


def _used(key: _Key, engine: PipelineEngine) -> PipelineEngine:
    engine.used = time.monotonic()
    _engines[key] = engine  # the most recently used is last
    _let_go()
    return engine


def _let_go() -> None:
    """Unload idle models beyond the `MAX_ENGINES` most recently used."""
    for key, engine in list(_engines.items())[:-MAX_ENGINES]:
        if time.monotonic() - engine.used > _IDLE_SECONDS:
            del _engines[key]
            engine.batcher.close()


def warm_up() -> None:
    """Load the default model and run it once, so that no image waits for it."""
    if _engines:
        return
    run_once(default_engine())


def run_once(engine: PipelineEngine) -> None:
    """Embed a blank image, so that what a model allocates on its first run is ready."""
    square = engine.pipeline.prepare(PillowImage.new("RGB", (256, 256)))
    engine.batcher.submit(square).result()


_preparing = threading.Lock()


def default_engine() -> PipelineEngine:
    return engine_for(DEFAULT_PIPELINE, recipe(DEFAULT_PIPELINE).fingerprint)


def has_places(engine: PipelineEngine) -> bool:
    """Whether the model for heatmaps has been converted on this machine.

    Starts the conversion in a thread where it has not; that takes some seconds.
    """
    image_pipeline = engine.pipeline
    if is_converted(image_pipeline.places_spec(), image_pipeline.runtime):
        return True
    threading.Thread(target=prepare_places, args=(engine,), name="places", daemon=True).start()
    return False


def prepare_places(engine: PipelineEngine) -> None:
    """Convert the model for heatmaps, unless another thread of this process does so already."""
    image_pipeline = engine.pipeline
    if _preparing.acquire(blocking=False):
        try:
            convert_elsewhere(
                image_pipeline.places_spec(), image_pipeline.runtime, image_pipeline.precision
            )
        finally:
            _preparing.release()
