"""Cache of decoded images for some minutes, so that another crop needs no new decoding."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import BinaryIO

from cachetools import TTLCache
from django.conf import settings
from PIL import Image as PillowImage

from embeddings.operators.decode.pillow import Decoded, decode
from searchapp.services.search.box import Box
from worker.runtime.pixel_budget import room_for

KEPT_SECONDS = 300.0
# An image takes three bytes per pixel; a larger one is decoded again for every crop.
MAX_KEPT_BYTES = 256 * 2**20


def _bytes(decoded: Decoded) -> int:
    return 3 * decoded.width * decoded.height


_kept: TTLCache[str, Decoded] = TTLCache(MAX_KEPT_BYTES, KEPT_SECONDS, getsizeof=_bytes)
_decoding: dict[str, threading.Lock] = {}
_lock = threading.Lock()
_clock: threading.Timer | None = None


def whole(key: str, open_file: Callable[[], BinaryIO]) -> Decoded:
    """Return the image with this content key at full size; concurrent callers share one decoding.

    Raises `ImageError` when the image cannot be used, and what `open_file` raises.
    """
    with _lock:
        decoding = _decoding.setdefault(key, threading.Lock())
    try:
        with decoding:
            with _lock:
                decoded = _kept.get(key)
            if decoded is None:
                with open_file() as file:
                    data = file.read()
                with room_for(data):
                    decoded = decode(data, max_pixels=settings.MAX_PIXELS)
                _keep(key, decoded)
            return decoded
    finally:
        with _lock:
            _decoding.pop(key, None)


def cut(decoded: Decoded, box: Box | None) -> PillowImage.Image:
    """Return the part of the image in `box`, at full size."""
    if box is None:
        return decoded.image
    return decoded.image.crop(box.pixels(decoded.image.width, decoded.image.height))


def _keep(key: str, decoded: Decoded) -> None:
    if _bytes(decoded) > MAX_KEPT_BYTES:
        return
    with _lock:
        _kept[key] = decoded
        _set_clock()


def _set_clock() -> None:
    """Start a timer that removes expired entries: a `TTLCache` does so only when it is used."""
    global _clock
    if _clock is None and _kept:
        _clock = threading.Timer(KEPT_SECONDS + 1, _expire)
        _clock.daemon = True
        _clock.start()


def _expire() -> None:
    global _clock
    with _lock:
        _kept.expire()
        _clock = None
        _set_clock()
