"""Tasks that a visitor waits for."""

from __future__ import annotations

import logging
import time
from typing import BinaryIO

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from embeddings.operators.decode import decode
from embeddings.operators.thumbnails import thumbnail
from embeddings.pipelines import ImagePipeline
from searchapp import storage
from searchapp.fetch import fetch_picture
from searchapp.queue import celery_app
from searchapp.services import cleanup, search
from searchapp.services.exchange import Embedded, vector_key
from searchapp.uploads import HashingWriter
from worker.answering import Reply, answer
from worker.engines import PipelineUnavailable, engine_for, run_once

log = logging.getLogger(__name__)


@celery_app.task(name="query.embed")
def embed(reply: str, sha256: str, pipeline: str, fingerprint: str) -> None:
    """Embed a stored query picture."""
    answer(reply, lambda: _embed_stored(sha256, pipeline, fingerprint))


@celery_app.task(name="query.warm")
def warm(pipeline: str, fingerprint: str) -> None:
    """Load a model that searches are about to need, and run it once."""
    try:
        engine = engine_for(pipeline, fingerprint)
    except PipelineUnavailable as error:
        log.warning("a model that will be needed cannot be loaded: %s", error)
        return
    run_once(engine)


@celery_app.task(name="query.fetch")
def fetch(
    reply: str, url: str, token: str, user_id: int | None, pipeline: str, fingerprint: str
) -> None:
    """Fetch a picture from an address, keep it as a query, and embed it."""

    def work() -> Reply:
        writer = HashingWriter()
        try:
            fetch_picture(url, writer)
        except BaseException:
            writer.discard()
            raise
        with writer.finish("") as upload:
            query = search.keep_fetched(upload, url, token, user_id)
        try:
            return _embed_stored(query.sha256, pipeline, fingerprint)
        except BaseException:
            cleanup.discard_query(query.token, query.sha256)
            raise

    answer(reply, work)


@celery_app.task(name="query.thumbnail")
def make_thumbnail(reply: str, sha256: str) -> None:
    """Make the small picture that the result page shows of the query."""

    def work() -> Reply:
        with storage.open_query(sha256) as original:
            picture = decode(original, max_pixels=settings.MAX_PIXELS).image
        storage.put_query_thumbnail(sha256, thumbnail(picture, 512))
        return Reply(b"{}\n")

    answer(reply, work)


def _embed_stored(sha256: str, pipeline: str, fingerprint: str) -> Reply:
    engine = engine_for(pipeline, fingerprint)
    started = time.perf_counter()
    with storage.open_query(sha256) as original:
        prepared, width, height = _prepare(original, engine.pipeline)
    decoded = time.perf_counter()
    vector = engine.batcher.submit(prepared).result()
    done = time.perf_counter()
    embedded = Embedded(
        vector=vector,
        sha256=sha256,
        width=width,
        height=height,
        decode=round((decoded - started) * 1000, 2),
        embed=round((done - decoded) * 1000, 2),
    )
    return Reply(embedded.to_payload(), vector_key(sha256, fingerprint))


def _prepare(original: BinaryIO, pipeline: ImagePipeline) -> tuple[NDArray[np.uint8], int, int]:
    picture = pipeline.decode(original, max_pixels=settings.MAX_PIXELS)
    return pipeline.prepare(picture.image), picture.width, picture.height
