"""Pictures that the tests make: plain ones in every format, and hostile ones byte by byte."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heic")


def scene(width: int = 64, height: int = 48) -> Image.Image:
    """A smooth picture whose four corners differ: red, green, blue, white."""
    x = np.linspace(0, 1, width)[None, :, None]
    y = np.linspace(0, 1, height)[:, None, None]
    corners = np.array([[230, 30, 30], [30, 200, 30], [30, 30, 230], [245, 245, 245]], float)
    top = corners[0] * (1 - x) + corners[1] * x
    bottom = corners[2] * (1 - x) + corners[3] * x
    return Image.fromarray(np.rint(top * (1 - y) + bottom * y).astype(np.uint8))


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The picture as a file of that format."""
    out = io.BytesIO()
    if kind == "heic":
        pillow_heif.from_pillow(image).save(out, quality=options.pop("quality", 90), **options)
    else:
        if kind in ("jpeg", "webp", "avif"):
            options.setdefault("quality", 90)
        image.save(out, kind.upper(), **options)
    return out.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """One PNG chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *extra: bytes, depth: int = 8, color: int = 2) -> bytes:
    """A PNG that claims a size, with further chunks before its (empty) pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    parts = [
        chunk(b"IHDR", header),
        *extra,
        chunk(b"IDAT", zlib.compress(b"")),
        chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_before_pixels(data: bytes, *extra: bytes) -> bytes:
    """A real PNG with further chunks right behind its header."""
    return data[:33] + b"".join(extra) + data[33:]


def gif(screen: tuple[int, int], frame: tuple[int, int], disposal: int = 0) -> bytes:
    """A GIF of some 40 bytes that claims a screen and a first frame."""
    control = b"!\xf9\x04" + bytes([disposal << 2, 0, 0, 0, 0])
    image = b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02D\x01\x00;"
    return b"GIF89a" + struct.pack("<HHBBB", *screen, 0, 0, 0) + control + image


def isobmff_claiming(data: bytes, width: int, height: int) -> bytes:
    """An AVIF or HEIC file whose every `ispe` box claims another size."""
    out, at = bytearray(data), 0
    while (at := data.find(b"ispe", at)) != -1:
        struct.pack_into(">II", out, at + 8, width, height)
        at += 4
    return bytes(out)


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of two pictures of one size, 0 to 255."""
    a, b = (np.asarray(image.convert("RGB"), dtype=float) for image in (one, other))
    return float(np.abs(a - b).mean())


def claiming(kind: str, width: int, height: int) -> bytes:
    """A small file whose header claims a size (at most 16,384 a side for WebP)."""
    if kind == "png":
        return png(width, height)
    if kind == "gif":
        return gif((width, height), (width, height))
    data = bytearray(encode(scene(), kind))
    if kind in ("avif", "heic"):
        return isobmff_claiming(bytes(data), width, height)
    if kind == "jpeg":
        struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, height, width)
    elif kind == "bmp":
        struct.pack_into("<ii", data, 18, width, height)
    elif kind == "webp":
        body = struct.pack("<I", 0) + (width - 1).to_bytes(3, "little")
        extended = b"VP8X" + struct.pack("<I", 10) + body + (height - 1).to_bytes(3, "little")
        rest = b"WEBP" + extended + bytes(data[12:])
        return b"RIFF" + struct.pack("<I", len(rest)) + rest
    elif kind == "tiff":
        at = struct.unpack_from("<I", data, 4)[0]
        for entry in range(struct.unpack_from("<H", data, at)[0]):
            place = at + 2 + 12 * entry
            tag = struct.unpack_from("<H", data, place)[0]
            if tag in (256, 257, 278):  # width, length, rows per strip
                size = width if tag == 256 else height
                struct.pack_into("<HHII", data, place, tag, 4, 1, size)
    return bytes(data)
