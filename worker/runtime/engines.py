"""The models of this process: one pipeline, and one batcher around it, a fingerprint and
precision."""

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
    """This worker's pipeline of that name is not the one that the index was made with."""


@dataclass
class Engine:
    pipeline: ImagePipeline
    batcher: Batcher
    used: float = 0.0  # by the monotonic clock


# Models in memory at once: the one that is searched with, one under construction, and more for
# datasets of other pipelines. What is not among the latest is loaded again.
MAX_ENGINES = 4
# Whoever was given an engine has used it by then.
_IDLE_SECONDS = 120.0

_Key = tuple[str, str]  # fingerprint and precision
_engines: dict[_Key, Engine] = {}
_loading: dict[_Key, threading.Lock] = {}
_lock = threading.Lock()


def engine_for(name: str, fingerprint: str, precision: str = "") -> Engine:
    """Return the engine that makes exactly the vectors of `fingerprint`.

    What goes into an index has the `precision` of its first vectors, as the index records it.
    Without one, as for queries, this machine chooses, among those whose vectors agree.

    Raises:
        PipelineUnavailable: when this version's recipe of that name is another one.
    """
    key = fingerprint, precision
    with _lock:
        loading = _loading.setdefault(key, threading.Lock())
    with loading:  # one loads a model; whoever needs another one does not wait for that
        with _lock:
            engine = _engines.pop(key, None)
            if engine is not None:
                return _used(key, engine)
        engine = _load(name, fingerprint, precision)
        with _lock:
            return _used(key, engine)


def _load(name: str, fingerprint: str, precision: str) -> Engine:
    set_threads(1)  # see worker.app
    try:
        made = _pipeline(name, precision)
    except EmbeddingsError as error:
        raise PipelineUnavailable(error.detail) from error
    if made.fingerprint != fingerprint:
        raise PipelineUnavailable(
            f"The index was made by another version of the pipeline {name}: "
            f"{fingerprint[:12]}, not {made.fingerprint[:12]}. Re-index the dataset."
        )
    return Engine(made, Batcher(made.embed))


def _pipeline(name: str, precision: str) -> ImagePipeline:
    """The pipeline in that precision. A data folder may have moved to a machine that has it not,
    or only emulated, or not in the runtime that is set: then as this machine chooses."""
    if precision in precisions():
        try:
            return pipeline(name, runtime=settings.RUNTIME, precision=precision)
        except RuntimeUnavailable as error:
            log.warning("%s is not computed in %s: %s", name, precision, error.detail)
    elif precision:
        log.warning("%s is not computed in %s: this processor has none", name, precision)
    return pipeline(name, runtime=settings.RUNTIME)


def _used(key: _Key, engine: Engine) -> Engine:
    engine.used = time.monotonic()
    _engines[key] = engine  # the latest in use stands last
    _let_go()
    return engine


def _let_go() -> None:
    """Forget the models that nobody has asked for lately, beyond the number that is kept."""
    for key, engine in list(_engines.items())[:-MAX_ENGINES]:
        if time.monotonic() - engine.used > _IDLE_SECONDS:
            del _engines[key]
            engine.batcher.close()


def warm_up() -> None:
    """Load the default model and run it once, so that no picture waits for it."""
    if _engines:
        return
    run_once(default_engine())


def run_once(engine: Engine) -> None:
    """Compute something, so that what is made with the first picture is made."""
    square = engine.pipeline.prepare(PillowImage.new("RGB", (256, 256)))
    engine.batcher.submit(square).result()


_preparing = threading.Lock()


def default_engine() -> Engine:
    return engine_for(DEFAULT_PIPELINE, recipe(DEFAULT_PIPELINE).fingerprint)


def has_places(engine: Engine) -> bool:
    """Whether what heatmaps are made with has been converted on this machine. Where it has not,
    that begins, beside whoever asks: it takes some seconds."""
    made = engine.pipeline
    if is_converted(made.places_spec(), made.runtime):
        return True
    threading.Thread(target=prepare_places, args=(engine,), name="places", daemon=True).start()
    return False


def prepare_places(engine: Engine) -> None:
    """Convert what heatmaps are made with, unless somebody in this process does so already."""
    made = engine.pipeline
    if _preparing.acquire(blocking=False):
        try:
            convert_elsewhere(made.places_spec(), made.runtime, made.precision)
        finally:
            _preparing.release()
