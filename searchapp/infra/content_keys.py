"""Keys derived from content: of images and of their thumbnails."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def content_key(sha256: str, box: Sequence[int] | None = None, copy: int = 0) -> str:
    """What makes an image unique in its dataset: the bytes that were sent, plus a box (left, top,
    width, height) or a copy's number where an import asks for those."""
    part = "" if box is None else "@" + ",".join(str(number) for number in box)
    return f"{sha256}{part}{f'#{copy}' if copy else ''}"


def thumbnail_key(sha256: str, box: Sequence[int] | None = None) -> str:
    """What the thumbnails of (a part of) a stored file are named by: 64 hexadecimal digits."""
    return sha256 if box is None else hashlib.sha256(content_key(sha256, box).encode()).hexdigest()
