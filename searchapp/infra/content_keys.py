"""Keys derived from content: of images and of their thumbnails."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def content_key(sha256: str, box: Sequence[int] | None = None, copy: int = 0) -> str:
    """Return the key that is unique to an image in its dataset.

    It consists of the hash of the received bytes, plus a box (left, top, width, height) or the
    number of a copy where an import requests these.
    """
    part = "" if box is None else "@" + ",".join(str(number) for number in box)
    return f"{sha256}{part}{f'#{copy}' if copy else ''}"


def thumbnail_key(sha256: str, box: Sequence[int] | None = None) -> str:
    """Return the name of the thumbnails of a stored file or a box of it: 64 hexadecimal digits."""
    return sha256 if box is None else hashlib.sha256(content_key(sha256, box).encode()).hexdigest()
