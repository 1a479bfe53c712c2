"""Bytes of pictures for tests, each made in one place."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
from PIL import Image


def encoded(picture: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    """Return the bytes of a file in this format; `options` are those of Pillow's `save`."""
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def jpeg(picture: Image.Image, quality: int = 90) -> bytes:
    return encoded(picture.convert("RGB"), "JPEG", quality=quality)


def plain_picture(number: int = 0, size: tuple[int, int] = (8, 8), format: str = "PNG") -> bytes:
    """A picture of one colour, another one for each number."""
    color = (number % 256, number // 256 % 256, number // 65536 % 256)
    return encoded(Image.new("RGB", size, color), format)


def drawn_picture(number: int) -> bytes:
    """A PNG of 48 × 36 pixels or the other way round with a shape like no other number's."""
    extent = (-2 + number / 9, -1.2, 1, 1.2 - number / 17)
    drawn = Image.effect_mandelbrot((48, 36), extent, 40)
    return encoded(drawn.convert("RGB").rotate(number * 7))


def blurred_picture(number: int) -> bytes:
    """A JPEG of 160 × 120 pixels of soft colours, which are random."""
    coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC)
    return encoded(picture, "JPEG")


def noisy_picture(number: int = 0, side: int = 40) -> bytes:
    """A PNG whose bytes do not shrink: its pixels are noise."""
    noise = hashlib.shake_128(str(number).encode()).digest(3 * side * side)
    return encoded(Image.frombytes("RGB", (side, side), noise))
