"""Image headers: size, truncation and scan count, read before any library opens the file.

The WebP and AVIF decoders allocate memory or apply limits of their own while opening a file, and
Pillow checks GIF frames against its own limit. Reading the header here lets our limit apply
first. JPEG, PNG, BMP, TIFF and HEIC files are opened without allocating pixels.
"""

import struct
from collections.abc import Iterator

# A progressive JPEG can encode thousands of scans in a few bytes, each a pass over all pixels.
# Real files have about ten.
MAX_JPEG_SCANS = 200

_CONTAINERS = (b"meta", b"iprp", b"ipco")


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return the width and height in a WebP header, None when the header is incomplete."""
    if len(data) < 30:
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        return (
            int.from_bytes(data[24:27], "little") + 1,
            int.from_bytes(data[27:30], "little") + 1,
        )
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def isobmff_size(data: bytes) -> tuple[int, int] | None:
    """Return the largest size of any picture in an AVIF or HEIC file (`ispe` boxes)."""
    sizes = [
        struct.unpack_from(">II", data, start + 4)
        for kind, start, end in _boxes(data, 0, len(data))
        if kind == b"ispe" and end - start >= 12
    ]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def is_short(data: bytes, kind: str) -> bool:
    """Whether the file's own structure shows that it is truncated."""
    if kind == "jpeg":  # no end marker after the last scan
        return b"\xff\xd9" not in data[max(0, data.rfind(b"\xff\xda")) :]
    if kind == "png":
        return b"IEND" not in data
    if kind == "webp":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if kind in ("avif", "heic"):
        return _isobmff_is_short(data)
    return False


def _isobmff_is_short(data: bytes) -> bool:
    """Whether a top-level box of an ISO media file extends beyond the end of the file."""
    at = 0
    while at + 8 <= len(data):
        size, body = _box(data, at)
        if size == 0:
            return False
        if size < body - at or at + size > len(data):
            return at + size > len(data)
        at += size
    return at != len(data)


def _box(data: bytes, at: int) -> tuple[int, int]:
    """Return the size of the box at `at` (0: to the end of the file) and the start of its body."""
    size = int.from_bytes(data[at : at + 4], "big")
    if size == 1 and at + 16 <= len(data):
        return int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
    return size, at + 8


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start of body, end) of boxes that can hold sizes, at most three levels deep."""
    while at + 8 <= end:
        kind = data[at + 4 : at + 8]
        size, body = _box(data, at)
        stop = end if size == 0 else min(at + size, end)
        if stop <= body:
            return
        if kind in _CONTAINERS:
            yield from _boxes(data, body + (4 if kind == b"meta" else 0), stop)
        else:
            yield kind, body, stop
        at = stop


def gif_first_frame(data: bytes) -> tuple[tuple[int, int], bytes] | None:
    """Return the canvas that a GIF's first frame needs, and the file with that canvas declared.

    Pillow enlarges the canvas for a first frame that exceeds it, and prepares frame disposal,
    both checked against its own process-wide limit. Neither changes the pixels of the first
    frame, so the canvas is declared large enough and the disposal before the first frame is
    cleared. Returns None when there is no frame.
    """
    if len(data) < 13:
        return None
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    changed = bytearray(data)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while at < len(data):
        mark = data[at]
        if mark == 0x2C:  # an image: left, top, width, height
            if at + 9 > len(data):
                return None
            left, top, across, down = struct.unpack_from("<HHHH", data, at + 1)
            size = max(width, left + across), max(height, top + down)
            if max(size) > 0xFFFF:
                return size, data
            struct.pack_into("<HH", changed, 6, *size)
            return size, bytes(changed)
        if mark == 0x3B:  # the end
            return None
        if mark == 0x21:  # an extension: label, then blocks
            if data[at + 1 : at + 3] == b"\xf9\x04" and at + 3 < len(data):
                changed[at + 3] &= 0b11100011
            at = _after_blocks(data, at + 2)
        else:
            at += 1
    return None


def _after_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def jpeg_scans(data: bytes) -> int:
    """Return an upper bound of a JPEG's scans. In coded data, 0xDA never follows 0xFF."""
    return data.count(b"\xff\xda")
