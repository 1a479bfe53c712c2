"""What people do to a picture before they search with it: edited copies, always the same."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

SEED = 7
_WORDS = (
    "SALE", "new", "look", "today", "only", "limited", "offer", "follow", "us", "photo", "of",
    "the", "day", "best", "price",
)  # fmt: skip

Edit = Callable[[Image.Image, random.Random], Image.Image]


def _crop(picture: Image.Image, chosen: random.Random, share: float = 0.7) -> Image.Image:
    """`share` of both sides, from anywhere."""
    width, height = (max(1, round(share * side)) for side in picture.size)
    left = chosen.randint(0, picture.width - width)
    top = chosen.randint(0, picture.height - height)
    return picture.crop((left, top, left + width, top + height))


def _small(picture: Image.Image, chosen: random.Random, side: int = 160) -> Image.Image:
    """The long side becomes `side` pixels."""
    scale = side / max(picture.size)
    width, height = (max(1, round(scale * length)) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _jpeg(picture: Image.Image, chosen: random.Random, quality: int = 25) -> Image.Image:
    with io.BytesIO() as file:
        picture.save(file, "JPEG", quality=quality)
        with Image.open(file) as opened:
            return opened.convert("RGB")


def _mirror(picture: Image.Image, chosen: random.Random) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def _text(picture: Image.Image, chosen: random.Random) -> Image.Image:
    """Two lines in a bright colour with a dark edge, from one side to the other."""
    written = picture.copy()
    draw, size = ImageDraw.Draw(written), max(8, round(0.11 * min(picture.size)))
    font: Any = ImageFont.load_default(size)
    for share in (chosen.uniform(0.05, 0.35), chosen.uniform(0.55, 0.8)):
        line = " ".join(chosen.sample(_WORDS, 4))
        place = (chosen.uniform(0, 0.1) * picture.width, share * picture.height)
        colour = chosen.choice(["#ffffff", "#ffe600", "#ff3b30"])
        draw.text(place, line, colour, font, stroke_width=max(1, size // 12), stroke_fill="#000000")
    return written


def _colour(picture: Image.Image, chosen: random.Random) -> Image.Image:
    """Another light: colder or warmer, more or less saturated, lighter or darker."""
    warmth = chosen.choice([-1, 1]) * chosen.uniform(0.12, 0.25)
    gains = np.array([1 + warmth, 1.0, 1 - warmth])
    tinted = np.clip(np.asarray(picture) * gains, 0, 255).astype(np.uint8)
    changed = ImageEnhance.Color(Image.fromarray(tinted)).enhance(chosen.choice([0.5, 1.6]))
    changed = ImageEnhance.Brightness(changed).enhance(chosen.choice([0.75, 1.25]))
    return ImageEnhance.Contrast(changed).enhance(chosen.uniform(0.8, 1.3))


def _rotate(picture: Image.Image, chosen: random.Random) -> Image.Image:
    """10° to one side; the page behind is white."""
    angle = chosen.choice([-10, 10])
    return picture.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor="#ffffff")


def _grey(picture: Image.Image, chosen: random.Random) -> Image.Image:
    return picture.convert("L").convert("RGB")


def _border(picture: Image.Image, chosen: random.Random) -> Image.Image:
    """A frame of one colour, 12 % of the long side wide."""
    width = round(0.12 * max(picture.size))
    size = (picture.width + 2 * width, picture.height + 2 * width)
    framed = Image.new("RGB", size, chosen.choice(["#ffffff", "#000000", "#b03030"]))
    framed.paste(picture, (width, width))
    return framed


def _screenshot(picture: Image.Image, chosen: random.Random) -> Image.Image:
    """The picture in a page: a bar above, grey blocks beside, lines of text below."""
    shown = _small(picture, chosen, 320)
    page = Image.new("RGB", (640, 560), "#f5f5f7")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    draw.rectangle((0, 0, 640, 44), chosen.choice(["#1f2937", "#2563eb", "#ffffff"]))
    for line in range(3):
        draw.rounded_rectangle((500, 70 + 130 * line, 620, 180 + 130 * line), 8, "#d4d4d8")
    left, top = chosen.randint(20, 150), chosen.randint(60, 110)
    page.paste(shown, (left, top))
    for line in range(4):
        below = top + shown.height + 12 + 24 * line
        draw.text((left, below), " ".join(chosen.choices(_WORDS, k=6)), "#27272a", font)
    return page


def _all_at_once(picture: Image.Image, chosen: random.Random) -> Image.Image:
    """Cropped, recoloured, written on, made small, saved badly."""
    changed = _text(_colour(_crop(picture, chosen, 0.8), chosen), chosen)
    return _jpeg(_small(changed, chosen, 240), chosen, 35)


EDITS: Mapping[str, Edit] = {
    "crop": _crop,
    "160 px": _small,
    "JPEG 25": _jpeg,
    "mirror": _mirror,
    "text": _text,
    "colour": _colour,
    "rotate": _rotate,
    "grey": _grey,
    "border": _border,
    "page": _screenshot,
    "all": _all_at_once,
}


def edited(picture: Image.Image, edit: str, place: int) -> Image.Image:
    """The copy of `picture`, the one at `place`, that `edit` makes: the same in every run."""
    return EDITS[edit](picture, random.Random(f"{SEED} {edit} {place}"))
