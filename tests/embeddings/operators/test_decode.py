"""Decoding: every format by content, orientation, colour, pixel modes."""

import io
import pathlib
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from embeddings.operators.decode.pillow import decode, standardize
from embeddings.operators.decode.sources import Source
from tests.embeddings import profiles
from tests.embeddings.pictures import FORMATS, chunk, difference, encode, scene

LOSSLESS = ("png", "bmp", "tiff")


def pixel(data: bytes, at: tuple[int, int] = (0, 0)) -> tuple[int, ...]:
    value = decode(data).image.getpixel(at)
    assert isinstance(value, tuple)
    return tuple(int(part) for part in value)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format(kind: str) -> None:
    picture = scene(70, 50)
    decoded = decode(encode(picture, kind))
    assert decoded.format == kind
    assert (decoded.width, decoded.height) == decoded.image.size == (70, 50)
    assert decoded.image.mode == "RGB"
    assert type(decoded.image) is Image.Image
    assert not decoded.image.info
    # GIF has 256 colours; the others come close.
    assert difference(picture, decoded.image) <= (
        0 if kind in LOSSLESS else 4 if kind == "gif" else 2
    )


def test_bytes_paths_and_files_are_the_same_and_names_do_not_count(tmp_path: pathlib.Path) -> None:
    data = encode(scene(), "png")
    path = tmp_path / "picture.jpg"
    path.write_bytes(data)
    with path.open("rb") as file:
        sources: list[Source] = [data, path, str(path), file, io.BytesIO(data)]
        pictures = [decode(source) for source in sources]
    assert {picture.format for picture in pictures} == {"png"}
    assert len({picture.image.tobytes() for picture in pictures}) == 1


def test_a_missing_file_is_the_callers_mistake() -> None:
    with pytest.raises(FileNotFoundError):
        decode("no-such-file.jpg")


# The stored array that shows V when its orientation is applied, by the definition of EXIF.
STORED = {
    1: lambda v: v,
    2: lambda v: v[:, ::-1],
    3: lambda v: v[::-1, ::-1],
    4: lambda v: v[::-1],
    5: lambda v: v.transpose(1, 0, 2),
    6: lambda v: np.rot90(v, 1),
    7: lambda v: v[::-1, ::-1].transpose(1, 0, 2),
    8: lambda v: np.rot90(v, -1),
}


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "avif", "heic"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(kind: str, orientation: int) -> None:
    picture = scene(64, 40)
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](np.asarray(picture))))
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(encode(stored, kind, exif=exif.tobytes()))
    assert (decoded.width, decoded.height) == (64, 40)
    assert difference(picture, decoded.image) < 4


@pytest.mark.parametrize("value", [0, 9, 60000])
def test_a_senseless_orientation_is_ignored(value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    assert decode(encode(scene(), "png", exif=exif.tobytes())).image.size == (64, 48)


def test_broken_exif_is_ignored() -> None:
    data = encode(scene(), "png")
    data = data[:33] + chunk(b"eXIf", b"II*\0\xff\xff\xff\x7fgarbage") + data[33:]
    assert difference(decode(data).image, scene()) == 0


# Transparency: hidden colours never show; half transparent is half white.


def test_rgba_is_composited_on_white() -> None:
    picture = Image.new("RGBA", (4, 4), (200, 0, 0, 128))
    picture.putpixel((0, 0), (0, 0, 0, 0))
    for data in (encode(picture, "png"), encode(picture, "webp", lossless=True, exact=True)):
        assert pixel(data) == (255, 255, 255)
        red, green, blue = pixel(data, (1, 1))
        assert red in range(226, 229)
        assert green == blue
        assert green in range(126, 129)


def test_grey_with_alpha() -> None:
    picture = Image.new("LA", (4, 4), (0, 0))
    picture.putpixel((1, 1), (0, 255))
    data = encode(picture, "png")
    assert pixel(data) == (255, 255, 255)
    assert pixel(data, (1, 1)) == (0, 0, 0)


@pytest.mark.parametrize("transparency", [0, bytes([0, 128])])
def test_palette_with_transparency(transparency: int | bytes) -> None:
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([10, 200, 10, 0, 0, 0])
    picture.putpixel((1, 1), 1)
    data = encode(picture, "png", transparency=transparency)
    assert pixel(data) == (255, 255, 255)
    expected = 0 if transparency == 0 else 127
    assert all(abs(part - expected) <= 1 for part in pixel(data, (1, 1)))


def test_gif_with_transparency() -> None:
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([10, 200, 10, 0, 0, 0])
    picture.putpixel((1, 1), 1)
    data = encode(picture, "gif", transparency=0)
    assert pixel(data) == (255, 255, 255)
    assert pixel(data, (1, 1)) == (0, 0, 0)


def test_palette_with_alpha() -> None:
    picture = Image.new("P", (2, 1), 0)
    picture.putpalette([250, 0, 0, 0, 0, 250])
    picture.putpixel((1, 0), 1)
    alpha = picture.convert("PA")
    alpha.putalpha(Image.frombytes("L", (2, 1), b"\x00\xff"))
    done = standardize(alpha)
    assert [done.getpixel((0, 0)), done.getpixel((1, 0))] == [(255, 255, 255), (0, 0, 250)]


@pytest.mark.parametrize(("mode", "key"), [("L", 7), ("RGB", (7, 7, 7)), ("1", 0)])
def test_a_transparent_colour(mode: str, key: int | tuple[int, ...]) -> None:
    picture = Image.new(mode, (4, 4), key)
    picture.putpixel((1, 1), (255, 255, 255) if mode == "RGB" else 255)
    assert pixel(encode(picture, "png", transparency=key)) == (255, 255, 255)
    assert pixel(encode(picture, "png")) != (255, 255, 255)


def _png16(rows: list[list[int]], color: int, key: tuple[int, ...] = ()) -> bytes:
    """A 16-bit PNG; `rows` are lists of samples."""
    samples = 3 if color == 2 else 1
    header = struct.pack(">IIBBBBB", len(rows[0]) // samples, len(rows), 16, color, 0, 0, 0)
    body = b"".join(b"\0" + struct.pack(f">{len(row)}H", *row) for row in rows)
    parts = [chunk(b"IHDR", header)]
    if key:
        parts.append(chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)))
    parts += [chunk(b"IDAT", zlib.compress(body)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_16_bit_png_with_a_transparent_colour() -> None:
    grey = _png16([[0x1234, 0x8000]], 0, (0x1234,))
    assert [pixel(grey), pixel(grey, (1, 0))] == [(255, 255, 255), (128, 128, 128)]
    color = _png16([[0x1234, 0x5678, 0x9ABC, 0x8000, 0, 0xFFFF]], 2, (0x1234, 0x5678, 0x9ABC))
    assert [pixel(color), pixel(color, (1, 0))] == [(255, 255, 255), (128, 0, 255)]


# Depth: a ramp from black to white must stay one.

RAMP = np.linspace(0, 1, 64, dtype=np.float64)[None, :].repeat(8, axis=0)


def _ramp(data: bytes | Image.Image) -> np.ndarray:
    image = standardize(data) if isinstance(data, Image.Image) else decode(data).image
    pixels = np.asarray(image)
    assert (pixels[..., 0] == pixels[..., 2]).all()
    return pixels[0, :, 0].astype(float)


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_16_bit_grey_is_not_white(kind: str) -> None:
    picture = Image.fromarray((RAMP * 65535).astype(np.uint16))
    assert picture.mode == "I;16"
    assert np.abs(_ramp(encode(picture, kind)) - RAMP[0] * 255).max() <= 1


def test_big_endian_16_bit_grey() -> None:
    values = (RAMP * 65535).astype(">u2")
    picture = Image.frombytes("I;16B", (64, 8), values.tobytes())
    assert np.abs(_ramp(picture) - RAMP[0] * 255).max() <= 1
    assert np.abs(_ramp(encode(picture, "tiff")) - RAMP[0] * 255).max() <= 1


@pytest.mark.parametrize(
    "values", [RAMP * 255, RAMP * 65535, RAMP * 2_000_000_000, RAMP * 2000 - 1000]
)
def test_32_bit_grey(values: np.ndarray) -> None:
    data = encode(Image.fromarray(values.astype(np.int32)), "tiff")
    assert np.abs(_ramp(data) - RAMP[0] * 255).max() <= 1


@pytest.mark.parametrize("values", [RAMP, RAMP * 255, RAMP * 1e6, RAMP * 2 - 1])
def test_floating_point_grey(values: np.ndarray) -> None:
    data = encode(Image.fromarray(values.astype(np.float32)), "tiff")
    assert np.abs(_ramp(data) - RAMP[0] * 255).max() <= 1


def test_floating_point_without_a_number() -> None:
    values = RAMP.astype(np.float32).copy()
    values[0, 0], values[0, 1], values[0, 2] = np.nan, np.inf, -np.inf
    ramp = _ramp(encode(Image.fromarray(values), "tiff"))
    assert ramp[:3].tolist() == [0, 0, 0]
    assert np.abs(ramp[3:] - RAMP[0, 3:] * 255).max() <= 1
    nothing = Image.fromarray(np.full((2, 2), np.nan, np.float32))
    assert pixel(encode(nothing, "tiff")) == (0, 0, 0)
    flat = Image.fromarray(np.full((2, 2), 1e9, np.float32))
    assert pixel(encode(flat, "tiff")) == (0, 0, 0)


@pytest.mark.parametrize("kind", ["png", "tiff", "bmp"])
def test_one_bit(kind: str) -> None:
    picture = Image.new("1", (9, 9), 0)
    picture.putpixel((4, 4), 1)
    data = encode(picture, kind)
    assert [pixel(data), pixel(data, (4, 4))] == [(0, 0, 0), (255, 255, 255)]


@pytest.mark.parametrize("kind", ["jpeg", "tiff"])
def test_cmyk_without_a_profile(kind: str) -> None:
    red, green, blue = pixel(encode(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), kind))
    assert red < 10
    assert green > 245
    assert blue > 245


@pytest.mark.parametrize("kind", ["jpeg", "tiff"])
def test_cmyk_with_a_profile(kind: str) -> None:
    picture = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    red, green, blue = pixel(encode(picture, kind, icc_profile=profiles.cyan_is_orange()))
    assert red > 200
    assert 100 < green < 180
    assert blue < 80


def test_lab_and_ycbcr() -> None:
    red = Image.new("RGB", (16, 16), (220, 20, 20))
    for mode in ("LAB", "YCbCr"):
        picture = red.convert(mode)
        for done in (standardize(picture), decode(encode(picture, "tiff")).image):
            assert difference(done, red) < 6


# Profiles.


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "avif", "heic"])
def test_profiles_are_applied(kind: str) -> None:
    picture = Image.new("RGB", (32, 32), (230, 20, 20))
    red, green, _ = pixel(encode(picture, kind, icc_profile=profiles.red_is_green()))
    assert green > 200
    assert red < 80


def test_profiles_are_applied_under_transparency() -> None:
    picture = Image.new("RGBA", (4, 4), (230, 20, 20, 255))
    picture.putpixel((0, 0), (230, 20, 20, 0))
    data = encode(picture, "png", icc_profile=profiles.red_is_green())
    assert pixel(data) == (255, 255, 255)
    assert pixel(data, (1, 1))[1] > 200


def test_grey_profiles() -> None:
    picture = Image.new("L", (8, 8), 55)
    plain = pixel(encode(picture, "png"))[0]
    assert plain == 55
    assert 120 < pixel(encode(picture, "png", icc_profile=profiles.linear_grey()))[0] < 140


@pytest.mark.parametrize(
    "profile",
    [
        b"nonsense",
        b"\0" * 500,
        profiles.red_is_green()[:200],
        profiles.cyan_is_orange(),  # of another colour space
        profiles.srgb(),
    ],
)
def test_profiles_that_change_nothing(profile: bytes) -> None:
    picture = scene()
    assert difference(decode(encode(picture, "png", icc_profile=profile)).image, picture) == 0


# Several pictures in one file: the first.


def test_first_frames() -> None:
    red, blue = Image.new("RGB", (16, 16), (250, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 250))
    for kind in ("gif", "webp", "tiff", "png", "avif", "mpo"):
        out = io.BytesIO()
        red.save(out, kind.upper(), save_all=True, append_images=[blue])
        decoded = decode(out.getvalue())
        assert decoded.format == ("jpeg" if kind == "mpo" else kind)
        assert difference(decoded.image, red) < 6


def test_a_gif_frame_beyond_its_screen() -> None:
    data = bytearray(encode(scene(20, 10), "gif"))
    struct.pack_into("<HH", data, 6, 4, 4)
    decoded = decode(bytes(data))
    assert (decoded.width, decoded.height) == (20, 10)
    assert difference(decoded.image, scene(20, 10)) < 4


def test_the_callers_picture_is_not_changed() -> None:
    picture = Image.new("RGBA", (4, 4), (200, 0, 0, 0))
    picture.info["transparency"] = (1, 2, 3)
    before = picture.tobytes(), dict(picture.info), picture.mode
    standardize(picture)
    assert (picture.tobytes(), dict(picture.info), picture.mode) == before
