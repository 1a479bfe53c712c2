"""Sample photographs for benchmarks, any number, cropped from the demo gallery."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageEnhance

from harness.installation import ROOT


def demo() -> list[Path]:
    """The photographs of the demo gallery."""
    return sorted((ROOT / "demo").glob("*.jpg"))


def make(folder: Path, number: int, side: int, seed: int) -> list[Path]:
    """Write `number` JPEGs whose long side is `side` pixels; return their paths.

    Each has another crop, brightness and quality of one of the gallery's photographs, so that no
    two have the same bytes or the same vector. Most of the gallery is smaller than `side` and is
    enlarged. The same `seed` makes the same images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = random.Random(seed)
    sources = demo()
    paths = []
    for place in range(number):
        path = folder / f"{seed}-{place:05}.jpg"
        picture = _cut(sources[place % len(sources)], chosen)
        scale = side / max(picture.size)
        width, height = (max(1, round(length * scale)) for length in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        picture.save(path, "JPEG", quality=chosen.randint(84, 92))
        paths.append(path)
    return paths


def _cut(source: Path, chosen: random.Random) -> Image.Image:
    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    width, height = picture.size
    left, top = (round(chosen.uniform(0, 0.12) * length) for length in picture.size)
    right = width - round(chosen.uniform(0, 0.12) * width)
    bottom = height - round(chosen.uniform(0, 0.12) * height)
    cut = picture.crop((left, top, right, bottom))
    if chosen.random() < 0.5:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    cut = ImageEnhance.Brightness(cut).enhance(chosen.uniform(0.8, 1.2))
    return ImageEnhance.Color(cut).enhance(chosen.uniform(0.7, 1.3))
