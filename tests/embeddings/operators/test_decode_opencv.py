"""`image_decode.opencv` gives what Pillow gives, where it does not say otherwise."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embeddings import ops
from embeddings.errors import ImageError, InputError, RecipeError
from embeddings.operators.decode.pillow import decode
from tests.embeddings import profiles
from tests.embeddings.pictures import FORMATS, chunk, claiming, difference, encode, scene

READ = tuple(kind for kind in FORMATS if kind not in ("heic", "tiff"))

opencv = ops.image_decode.opencv()


def _same(data: bytes, tolerance: float = 0.5) -> None:
    ours, pillows = opencv(data), decode(data).image
    assert ours.mode == "RGB"
    assert ours.size == pillows.size
    assert difference(ours, pillows) <= tolerance


def test_demo_pictures(demo: list[Path]) -> None:
    for path in demo[::12]:
        assert difference(opencv(path), decode(path).image) <= 0.5


@pytest.mark.parametrize("kind", READ)
def test_formats(kind: str) -> None:
    _same(encode(scene(), kind))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif"])
def test_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    _same(encode(scene(), kind, exif=exif.tobytes()))


@pytest.mark.parametrize("kind", ["png", "webp", "avif"])
def test_transparency_is_white(kind: str) -> None:
    picture = scene().convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    data = encode(picture, kind)
    _same(data)
    assert difference(opencv(data), scene()) > 20  # it was there


def test_transparent_colours() -> None:
    few = scene().quantize(16)
    for data in (
        encode(few, "png", transparency=3),
        encode(few, "gif", transparency=3),
        encode(scene().convert("L"), "png", transparency=100),
        encode(scene().convert("LA"), "png"),
        encode(scene().convert("1"), "png", transparency=1),
        encode(Image.new("RGB", (8, 8), (1, 2, 3)), "png", transparency=(1, 2, 3)),
    ):
        _same(data, 0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
@pytest.mark.parametrize("kind", ["png", "bmp", "gif"])
def test_modes(kind: str, mode: str) -> None:
    _same(encode(scene().convert(mode), kind))


def test_cmyk_without_a_profile() -> None:
    _same(encode(scene().convert("CMYK"), "jpeg"), 1.5)


def _png16(color: int, rows: list[bytes], width: int, *extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, len(rows), 16, color, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", body), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_16_bits() -> None:
    ramp = np.linspace(0, 65535, 64).astype(">u2")
    grey = _png16(0, [ramp.tobytes()] * 4, 64)
    _same(grey, 0)
    assert np.abs(np.asarray(opencv(grey))[0, :, 0] - np.linspace(0, 255, 64)).max() <= 1
    _same(_png16(0, [ramp.tobytes()], 64, chunk(b"tRNS", ramp[5:6].tobytes())), 0)
    _same(_png16(2, [np.repeat(ramp, 3).tobytes()], 64), 0)
    _same(_png16(6, [np.repeat(ramp, 4).tobytes()], 64), 1)


def test_profiles_are_ignored_as_its_recipe_says() -> None:
    picture = Image.new("RGB", (16, 16), (230, 20, 20))
    data = encode(picture, "png", icc_profile=profiles.red_is_green())
    assert difference(opencv(data), picture) == 0
    assert dict(opencv.recipe.parameters)["color"] == "device"
    with pytest.raises(RecipeError, match="'device'"):
        ops.image_decode.opencv(color="srgb")


@pytest.mark.parametrize("kind", ["heic", "tiff"])
def test_what_it_does_not_read(kind: str) -> None:
    with pytest.raises(ImageError, match=r"image_decode\.pillow") as caught:
        opencv(encode(scene(), kind))
    assert caught.value.code == "unsupported_format"


@pytest.mark.parametrize("kind", READ)
def test_the_limit_holds_before_opencv_sees_the_file(kind: str) -> None:
    with pytest.raises(ImageError) as caught:
        opencv(claiming(kind, 12_000, 12_000))
    assert caught.value.code == "too_many_pixels"


@pytest.mark.parametrize("kind", READ)
def test_half_a_file(kind: str) -> None:
    data = encode(scene(), kind)
    with pytest.raises(ImageError) as caught:
        opencv(data[: len(data) // 2])
    assert caught.value.code in ("truncated", "corrupt")


def test_other_refusals() -> None:
    for data, code in ((b"", "empty_file"), (b"%PDF-1.7", "not_a_picture")):
        with pytest.raises(ImageError) as caught:
            opencv(data)
        assert caught.value.code == code
    with pytest.raises(FileNotFoundError):
        opencv("no-such-file.jpg")


# Addresses.


def test_addresses_go_through_the_callers_function() -> None:
    urls = []

    def fetch(url: str) -> bytes:
        urls.append(url)
        return encode(scene(), "png")

    operator = ops.image_decode.url(fetch=fetch)
    assert difference(operator("https://example.org/a.png"), scene()) == 0
    assert urls == ["https://example.org/a.png"]
    # How it is fetched does not decide what a vector means.
    assert operator.recipe == ops.image_decode.url(fetch=len).recipe
    assert dict(operator.recipe.parameters) == dict(ops.image_decode.pillow().recipe.parameters)
    with pytest.raises(InputError, match="must be text"):
        operator(b"https://example.org/a.png")
    with pytest.raises(InputError, match="not str"):
        ops.image_decode.url(fetch=str)("https://example.org/a.png")
    with pytest.raises(ImageError):
        ops.image_decode.url(fetch=str.encode)("no picture")


def test_no_fetcher() -> None:
    with pytest.raises(RecipeError, match="give it your own function"):
        ops.image_decode.url()
