"""Many small pictures, each of its own, and files that are not what they say."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

from PIL import Image, ImageEnhance

from harness.installation import ROOT
from tests.pictures import encoded

LIMIT = 2_000_000  # LOOKALIKE_MAX_UPLOAD_BYTES of the installations here


def pictures(number: int, seed: int) -> dict[str, bytes]:
    """Return `number` small JPEGs by name, each cut from another photograph of the demo gallery.

    Another `seed` cuts and lights them otherwise, so that no bytes are the same.
    """
    chosen = random.Random(seed)
    sources = sorted((ROOT / "demo").glob("*.jpg"))
    assert len(sources) >= number
    return {f"{seed}-{source.name}": _cut(source, chosen) for source in sources[:number]}


def _cut(source: Path, chosen: random.Random) -> bytes:
    with Image.open(source) as opened:
        opened.draft("RGB", (160, 160))
        picture = opened.convert("RGB")
    width, height = picture.size
    left, top = chosen.uniform(0, 0.1) * width, chosen.uniform(0, 0.1) * height
    right, bottom = width - chosen.uniform(0, 0.1) * width, height - chosen.uniform(0, 0.1) * height
    small = picture.resize((160, 120), box=(left, top, right, bottom))
    return encoded(ImageEnhance.Brightness(small).enhance(chosen.uniform(0.9, 1.1)), "JPEG")


def as_png(jpeg: bytes) -> bytes:
    return encoded(Image.open(io.BytesIO(jpeg)), "PNG")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge_gif() -> bytes:
    """Some 30 bytes that claim 50,000 × 50,000 pixels."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 50_000, 50_000, 0x80, 0, 0)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 50_000, 50_000, 0)
    return screen + b"\0\0\0\xff\xff\xff" + frame + b"\x02\x02\x44\x01\x00\x3b"


def text_bomb(jpeg: bytes) -> bytes:
    """A sound PNG with a compressed text of 200 MB."""
    png = as_png(jpeg)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1_000_000)) for _ in range(200)) + packer.flush()
    end_of_header = 8 + 25
    bomb = _chunk(b"zTXt", b"Comment\0\0" + packed)
    return png[:end_of_header] + bomb + png[end_of_header:]


def damaged_png(jpeg: bytes) -> bytes:
    """A PNG whose pixels were overwritten in the middle."""
    png = bytearray(as_png(jpeg))
    middle = len(png) // 2
    png[middle : middle + 64] = bytes(64)
    return bytes(png)


def oversized(jpeg: bytes) -> bytes:
    """A sound JPEG with more bytes behind its end than are accepted."""
    return jpeg + bytes(LIMIT + 1 - len(jpeg))


PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"
TEXT = b"Dear reader, this is a letter and not a photograph.\n" * 20
