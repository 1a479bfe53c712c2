"""Query tasks, which a request waits for: embed, fetch, thumbnail and regions of a query image."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from embeddings.operators.decode.pillow import Decoded, decode
from embeddings.operators.regions import regions
from embeddings.operators.thumbnails import thumbnail
from embeddings.pipelines import ImagePipeline
from searchapp.infra import storage
from searchapp.infra.fetch import fetch_picture
from searchapp.infra.originals import open_original, web_address
from searchapp.infra.queue import celery_app
from searchapp.infra.upload_handler import HashingWriter
from searchapp.models import Image, ImageState
from searchapp.services import search
from searchapp.services.errors import Gone
from searchapp.services.operations import cleanup
from searchapp.services.query_rpc import Embedded, regions_key, vector_key
from searchapp.services.search.box import parse_box
from worker.runtime import decoded_cache, local_features
from worker.runtime.engines import PipelineUnavailable, engine_for, run_once
from worker.runtime.image_decoding import cut_out
from worker.runtime.pixel_budget import room_for
from worker.runtime.replies import Reply, answer

log = logging.getLogger(__name__)


@celery_app.task(name="query.embed")
def embed(
    reply: str, sha256: str, pipeline: str, fingerprint: str, box: str = "", look: bool = False
) -> None:
    """Embed a stored query image or a box of it; with `look`, compute local features meanwhile."""
    if look:
        local_features.begin(sha256, parse_box(box))
    answer(reply, lambda: _embed_stored(sha256, pipeline, fingerprint, box))


@celery_app.task(name="query.embed_image")
def embed_image(reply: str, image_id: int, pipeline: str, fingerprint: str, box: str) -> None:
    """Embed a box of an image."""

    def work() -> Reply:
        image = _ready(image_id)
        prepare = partial(_prepare_part, lambda: _whole_of(image), box)
        return _embed(prepare, image.sha256, image.thumbnail_key, pipeline, fingerprint, box)

    answer(reply, work, missing=("original_missing", "The stored original is missing."))


@celery_app.task(name="query.warm")
def warm(pipeline: str, fingerprint: str) -> None:
    """Load a model that searches will need soon, and run it once."""
    try:
        engine = engine_for(pipeline, fingerprint)
    except PipelineUnavailable as error:
        log.warning("a model that will be needed cannot be loaded: %s", error)
        return
    run_once(engine)


@celery_app.task(name="query.fetch")
def fetch(
    reply: str,
    url: str,
    token: str,
    user_id: int | None,
    pipeline: str,
    fingerprint: str,
    box: str = "",
    client: str = "",
) -> None:
    """Fetch an image from a URL, store it as a query, and embed it."""

    def work() -> Reply:
        writer = HashingWriter()
        try:
            fetch_picture(url, writer)
        except BaseException:
            writer.discard()
            raise
        with writer.finish("") as upload:
            query = search.keep_fetched(upload, url, token, user_id, client)
        try:
            return _embed_stored(query.sha256, pipeline, fingerprint, box)
        except BaseException:
            cleanup.discard_query(query.token, query.sha256)
            raise

    answer(reply, work)


@celery_app.task(name="query.thumbnail")
def make_thumbnail(reply: str, sha256: str) -> None:
    """Make the thumbnail of the query image for the result page."""

    def work() -> Reply:
        with storage.open_query(sha256) as original:
            data = original.read()
        with room_for(data):
            picture = decode(data, max_pixels=settings.MAX_PIXELS).image
            storage.put_query_thumbnail(sha256, thumbnail(picture, 512))
        return Reply(b"{}\n")

    answer(reply, work)


_Prepared = tuple[NDArray[np.uint8], int, int]  # with width and height of the whole image


@celery_app.task(name="query.regions")
def find_regions(reply: str, key: str, image_id: int | None) -> None:
    """Suggest regions of a query image or a stored image to search for on their own.

    The image stays in the cache of decoded images, because a search for a region often follows.
    """

    def work() -> Reply:
        boxes = regions((_whole_query(key) if image_id is None else _image_of(image_id)).image)
        return Reply(json.dumps({"regions": boxes}).encode(), regions_key(key))

    answer(reply, work)


def _image_of(image_id: int) -> Decoded:
    return _whole_of(_ready(image_id))


def _ready(image_id: int) -> Image:
    image = Image.objects.filter(pk=image_id, state=ImageState.READY).first()
    if image is None:
        raise Gone("original_missing", "This picture has just been deleted.")
    return image


def _embed_stored(sha256: str, pipeline: str, fingerprint: str, box: str) -> Reply:
    if box:
        prepare = partial(_prepare_part, lambda: _whole_query(sha256), box)
    else:
        prepare = partial(_prepare_whole, sha256)
    return _embed(prepare, sha256, sha256, pipeline, fingerprint, box)


def _embed(
    prepare: Callable[[ImagePipeline], _Prepared],
    sha256: str,
    key: str,
    pipeline: str,
    fingerprint: str,
    box: str,
) -> Reply:
    engine = engine_for(pipeline, fingerprint)
    started = time.perf_counter()
    prepared, width, height = prepare(engine.pipeline)
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
    return Reply(embedded.to_payload(), vector_key(key, fingerprint, box))


def _prepare_whole(sha256: str, pipeline: ImagePipeline) -> _Prepared:
    with storage.open_query(sha256) as original:
        data = original.read()
    with room_for(data):
        picture = pipeline.decode(data, max_pixels=settings.MAX_PIXELS)
        return pipeline.prepare(picture.image), picture.width, picture.height


def _prepare_part(whole: Callable[[], Decoded], box: str, pipeline: ImagePipeline) -> _Prepared:
    """Prepare a box, cut from the image at full size.

    A quicker, smaller decoding may lose the detail that the box shows.
    """
    picture = whole()
    part = decoded_cache.cut(picture, parse_box(box))
    return pipeline.prepare(part), picture.width, picture.height


def _whole_query(sha256: str) -> Decoded:
    return decoded_cache.whole(sha256, lambda: storage.open_query(sha256))


def _whole_of(image: Image) -> Decoded:
    """Return a stored image, which may be a part of its file.

    For an image whose original is on the web, this is its thumbnail: a search must not make the
    server fetch anything.
    """
    if web_address(image) is not None:
        side = max(storage.THUMBNAIL_SIDES)
        key = image.thumbnail_key
        small = decoded_cache.whole(f"{key}-{side}", lambda: storage.open_thumbnail(key, side))
        return replace(small, width=image.width or small.width, height=image.height or small.height)
    return cut_out(image, decoded_cache.whole(image.sha256, lambda: open_original(image)))
