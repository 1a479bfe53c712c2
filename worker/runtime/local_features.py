"""Local features of query images and stored images: cached, read from storage, or computed."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import redis
from django.conf import settings

from embeddings.errors import EmbeddingsError
from embeddings.geometry.local_features import VERSION, LocalFeatures, local_features
from embeddings.operators.decode.pillow import Decoded, decode
from searchapp.infra import queue, storage
from searchapp.models import Image
from searchapp.services.search.box import Box
from worker.runtime import decoded_cache
from worker.runtime.image_decoding import cut_out
from worker.runtime.pixel_budget import room_for

log = logging.getLogger(__name__)
# Larger JPEG files are decoded at a smaller size: this keeps all detail that keypoints need,
# though not the file's compression artifacts.
_SHORT_SIDE = 1000
# Features in the memory of this process, some 20 KB each.
_MAX_HELD = 1000
# Storage across a network answers several requests at once as quickly as one.
_READERS = 8

_held: OrderedDict[str, LocalFeatures] = OrderedDict()
_lock = threading.Lock()
_readers = ThreadPoolExecutor(_READERS, thread_name_prefix="features")
# Features of queries that are computed ahead, beside the embedding.
_MAX_BEGUN = 32  # beyond this, `of_query` computes them itself
_begun: dict[str, Future[LocalFeatures]] = {}
_makers = ThreadPoolExecutor(2, thread_name_prefix="query-features")


def stored(images: Iterable[Image]) -> dict[int, LocalFeatures]:
    """Return the features of those images that have some, by id."""
    features_by_id: dict[int, LocalFeatures] = {}
    to_read: list[Image] = []
    for image in images:
        with _lock:
            cached_features = _held.get(image.thumbnail_key)
            if cached_features is not None:
                _held.move_to_end(image.thumbnail_key)
        if cached_features is not None:
            features_by_id[image.pk] = cached_features
        elif image.features > 0:
            to_read.append(image)
    read = _readers.map(_read, [image.thumbnail_key for image in to_read])
    for image, features in zip(to_read, read, strict=True):
        if features is not None:
            features_by_id[image.pk] = features
    return features_by_id


def _read(key: str) -> LocalFeatures | None:
    try:
        features = LocalFeatures.from_bytes(storage.read_features(key))
    except FileNotFoundError:
        return None
    except EmbeddingsError as error:
        log.warning("the local features %s cannot be read: %s", key[:12], error)
        return None
    _hold(key, features)
    return features


def _hold(key: str, features: LocalFeatures) -> None:
    with _lock:
        _held[key] = features
        _held.move_to_end(key)
        while len(_held) > _MAX_HELD:
            _held.popitem(last=False)


def make(image: Image) -> LocalFeatures:
    """Compute the features of a stored image and store them.

    Uses the thumbnail where the original is not stored: nothing is fetched from the web for this.

    Raises `ImageError` or `BadBox` when the image cannot be used, and `FileNotFoundError` when
    there is neither an original nor a thumbnail.
    """
    features = of_decoded(_decoded(image))
    storage.put_features(image.thumbnail_key, features.to_bytes())
    _hold(image.thumbnail_key, features)
    return features


def _decoded(image: Image) -> Decoded:
    if not image.reference:
        try:
            with storage.open_original(image.sha256) as file:
                data = file.read()
        except FileNotFoundError:
            log.warning("image %d has no original: its thumbnail is looked at", image.pk)
        else:
            if image.box is not None:
                return cut_out(image, decode(data, max_pixels=settings.MAX_PIXELS))
            return decode(data, max_pixels=settings.MAX_PIXELS, draft_short_side=_SHORT_SIDE)
    return of_thumbnail(image)


def of_thumbnail(image: Image) -> Decoded:
    """Return the largest thumbnail of an image, with the size of the original.

    Raises `FileNotFoundError` when there is none.
    """
    with storage.open_thumbnail(image.thumbnail_key, max(storage.THUMBNAIL_SIDES)) as file:
        small = decode(file)
    return replace(small, width=image.width or small.width, height=image.height or small.height)


def of_decoded(decoded: Decoded) -> LocalFeatures:
    """Return the features of an image that may have been decoded at a smaller size."""
    return local_features(decoded.image, size=(decoded.width, decoded.height))


def begin(sha256: str, box: Box | None) -> None:
    """Start computing what `of_query` will return, in a thread beside the embedding."""
    key = _query_key(sha256, box)
    with _lock:
        if key in _begun or len(_begun) >= _MAX_BEGUN:
            return
        begun = _begun[key] = _makers.submit(_of_query, sha256, box)

    def forget(_: Future[LocalFeatures]) -> None:
        with _lock:
            _begun.pop(key, None)

    begun.add_done_callback(forget)


def of_query(sha256: str, box: Box | None) -> LocalFeatures:
    """Return the features of a query image or a box of it; cached in Redis as long as the query.

    Raises `ImageError` when the image cannot be used, and `FileNotFoundError` when it has expired.
    """
    with _lock:
        begun = _begun.get(_query_key(sha256, box))
    return begun.result() if begun is not None else _of_query(sha256, box)


def _query_key(sha256: str, box: Box | None) -> str:
    return f"lookalike:features:{VERSION}:{sha256}:{box or ''}"


def _of_query(sha256: str, box: Box | None) -> LocalFeatures:
    key = _query_key(sha256, box)
    try:
        remembered = queue.client().get(key)
        if isinstance(remembered, bytes):
            return LocalFeatures.from_bytes(remembered)
    except (redis.RedisError, EmbeddingsError) as error:
        log.warning("the features of a query cannot be recalled: %s", error)
    features = _compute_of_query(sha256, box)
    try:
        life = settings.QUERY_KEEP_HOURS * 3600
        queue.client().set(key, features.to_bytes(), ex=life)
    except redis.RedisError as error:
        log.warning("the features of a query cannot be remembered: %s", error)
    return features


def _compute_of_query(sha256: str, box: Box | None) -> LocalFeatures:
    if box is not None:
        whole = decoded_cache.whole(sha256, lambda: storage.open_query(sha256))
        return of_decoded(cut(whole, box))
    with storage.open_query(sha256) as file:
        data = file.read()
    with room_for(data, draft_short_side=_SHORT_SIDE):
        picture = decode(data, max_pixels=settings.MAX_PIXELS, draft_short_side=_SHORT_SIDE)
        return of_decoded(picture)


def cut(whole: Decoded, box: Box | None) -> Decoded:
    """Return the part of a full-size image in a box, or all of it without one."""
    if box is None:
        return whole
    part = decoded_cache.cut(whole, box)
    return Decoded(part, whole.format, part.width, part.height)
