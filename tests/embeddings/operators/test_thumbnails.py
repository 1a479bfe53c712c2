"""Thumbnails and the dominant colour."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from embeddings.errors import InputError
from embeddings.operators.decode.pillow import decode
from embeddings.operators.thumbnails import dominant_color, thumbnail
from tests.embeddings import profiles
from tests.embeddings.pictures import difference, encode, scene


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 480), (256, 192)),
        ((300, 600), (128, 256)),
        ((100, 50), (100, 50)),
        ((9000, 1), (256, 1)),
    ],
)
def test_long_side_and_never_enlarged(size: tuple[int, int], expected: tuple[int, int]) -> None:
    small = opened(thumbnail(scene(*size), 256))
    assert small.format == "WEBP"
    assert small.size == expected


def test_it_shows_the_picture_and_leaves_it_alone() -> None:
    picture = scene(640, 480)
    before = picture.tobytes()
    small = opened(thumbnail(picture, 128))
    assert difference(small, picture.resize((128, 96))) < 3
    assert picture.tobytes() == before


def test_no_metadata_is_kept() -> None:
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    data = encode(scene(), "jpeg", exif=exif.tobytes(), icc_profile=profiles.srgb())
    with Image.open(io.BytesIO(data)) as source:
        assert "exif" in source.info
        small = opened(thumbnail(source, 32))
    assert not {"exif", "icc_profile", "xmp"} & set(small.info)


def test_other_modes_are_taken() -> None:
    assert opened(thumbnail(Image.new("L", (40, 40), 9), 16)).size == (16, 16)


@pytest.mark.parametrize("side", [0, -1, 16384, 2.5, "8", None, True])
def test_senseless_sides(side: Any) -> None:
    with pytest.raises(InputError, match="1 to 16383"):
        thumbnail(scene(), side)


@pytest.mark.parametrize("wrong", [None, b"", np.zeros((4, 4, 3), np.uint8)])
def test_what_is_no_image(wrong: Any) -> None:
    for make in (dominant_color, lambda image: thumbnail(image, 8)):
        with pytest.raises(InputError, match=f"PIL image, not {type(wrong).__name__}"):
            make(wrong)


def test_dominant_color() -> None:
    picture = Image.new("RGB", (300, 200), (10, 200, 30))
    picture.paste((250, 250, 250), (0, 0, 100, 200))
    assert dominant_color(picture) == "#0ac81e"
    assert dominant_color(Image.new("L", (1, 1), 255)) == "#ffffff"
    assert (
        dominant_color(decode(encode(Image.new("RGB", (5000, 3), (0, 0, 0)), "png")).image)
        == "#000000"
    )
