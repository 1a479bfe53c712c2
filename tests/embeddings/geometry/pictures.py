"""Pictures for the tests of geometry: photographs of the demo, and drawn ones that mislead."""

import random

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from harness.installation import ROOT

DEMO = ROOT / "demo"
_WORDS = ["lorem", "ipsum", "dolor", "sit", "amet", "consectetur", "elit", "tempor", "magna"]


def photograph(place: int) -> Image.Image:
    """One of the 228 photographs of the demo."""
    with Image.open(sorted(DEMO.glob("*.jpg"))[place]) as opened:
        return opened.convert("RGB")


def named(name: str) -> Image.Image:
    """A photograph of the demo by the name of its file, without `.jpg`."""
    with Image.open(DEMO / f"{name}.jpg") as opened:
        return opened.convert("RGB")


def photographed_again(picture: Image.Image, aside: float) -> Image.Image:
    """The picture as from a place a little beside: what is near moves by `aside` (a share of the
    width) to one side, and what is far to the other."""
    pixels = np.asarray(picture)
    height, width = pixels.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    depth = np.sin(x * 7 / width) * np.sin(y * 5 / height)
    moved = (x + np.float32(aside * width) * depth).astype(np.float32)
    seen = cv2.remap(pixels, moved, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return Image.fromarray(seen)


def checkerboard(square: int, side: int = 400) -> Image.Image:
    board = (np.indices((side, side)) // square).sum(axis=0) % 2 * 255
    return Image.fromarray(board.astype(np.uint8)).convert("RGB")


def page_of_text(seed: int, headline: str = "") -> Image.Image:
    """A page of words by chance, in one type, under a headline."""
    chosen, page = random.Random(seed), Image.new("RGB", (600, 800), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(18)
    draw.text((40, 10), headline, "black", ImageFont.load_default(40))
    for line in range(30):
        words = " ".join(chosen.choices(_WORDS, k=8))
        draw.text((40, 70 + 24 * line), words, "black", font)
    return page


def watermarked(picture: Image.Image) -> Image.Image:
    """The picture at 480 × 360 with the same words on it three times."""
    picture = picture.resize((480, 360))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(40)
    for top in (60, 180, 300):
        draw.text((40, top), "© SAMPLE STOCK", "white", font, stroke_width=2, stroke_fill="black")
    return picture


def in_ornate_border(picture: Image.Image) -> Image.Image:
    """The picture within a border that has a hundred points of its own."""
    framed = Image.new("RGB", (400, 400), "#802020")
    draw = ImageDraw.Draw(framed)
    for at in range(0, 400, 20):
        for left, top in ((at, 4), (at, 384), (4, at), (384, at)):
            draw.ellipse((left, top, left + 12, top + 12), "gold")
    framed.paste(picture.resize((350, 350)), (25, 25))
    return framed
