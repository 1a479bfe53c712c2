"""Files that are no pictures, broken pictures, and pictures made to do harm."""

import contextlib
import io
import struct
import subprocess
import sys
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from embeddings.errors import ImageError
from embeddings.operators.decode.pillow import decode
from harness.installation import ROOT
from tests.embeddings.pictures import (
    FORMATS,
    chunk,
    encode,
    gif,
    isobmff_claiming,
    png,
    png_before_pixels,
    scene,
)
from tests.properties import examples

FILES = {kind: encode(scene(), kind) for kind in FORMATS}


def refusal(data: bytes, **options: int) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(data, **options)
    assert caught.value.detail.endswith(".")
    return caught.value


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "a")
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "empty_file", "empty"),
        (b"%PDF-1.7\n%\xe2\xe3", "not_a_picture", "PDF"),
        (_zip(), "not_a_picture", "ZIP"),
        (b"\n <!DOCTYPE html><html>", "not_a_picture", "HTML"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x">', "not_a_picture", "SVG"),
        (b"<svg viewBox='0 0 1 1'/>", "not_a_picture", "SVG"),
        (b"<?xml version='1.0'?><a/>", "not_a_picture", "XML"),
        (b'{"error": "not found"}', "not_a_picture", "JSON"),
        (b"BMW builds cars, and this is a sentence about them.", "not_a_picture", "text"),
        ("é".encode() * 600, "not_a_picture", "text"),
        (("a" + "é" * 600).encode(), "not_a_picture", "text"),
        ("\ufeffhello".encode("utf-16-le"), "not_a_picture", "text"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0" * 40, "not_a_picture", "video (MP4"),
        (b"\x1aE\xdf\xa3" + b"\0" * 40, "not_a_picture", "video"),
        (b"RIFF\0\0\0\0AVI LIST", "not_a_picture", "video"),
        (b"\x1f\x8b\x08" + b"\0" * 40, "not_a_picture", "gzip"),
        (b"\x7fELF\x02\x01", "not_a_picture", "program"),
        (b"\x01\x02\x03\x04\xff\xfe", "not_a_picture", "01 02 03 04 ff fe"),
        (b"\xff\x0a" + b"\0" * 40, "unsupported_format", "JPEG XL"),
        (b"8BPS\0\x01", "unsupported_format", "Photoshop"),
        (b"\0\0\x01\0\x01\0", "unsupported_format", "icon"),
        (b"P6 1 1 255\n\0\0\0", "unsupported_format", "Netpbm"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "unsupported_format", "raw"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf", "unsupported_format", "HEIF"),
    ],
)
def test_what_is_not_taken(data: bytes, code: str, words: str) -> None:
    error = refusal(data)
    assert error.code == code
    assert words in error.detail
    assert "JPEG, PNG" in error.detail


@pytest.mark.parametrize("format_", ["JPEG2000", "ICO", "PPM", "QOI", "ICNS", "EPS", "DDS"])
def test_real_pictures_of_other_formats(format_: str) -> None:
    out = io.BytesIO()
    scene().save(out, format_)
    assert refusal(out.getvalue()).code == "unsupported_format"


def test_a_12_bit_jpeg() -> None:
    data = bytearray(FILES["jpeg"])
    data[data.index(b"\xff\xc0") + 4] = 12
    error = refusal(bytes(data))
    assert error.code == "unsupported_format"
    assert "12-bit" in error.detail


# Too many pixels: refused by what the header says.


@pytest.mark.parametrize("kind", FORMATS)
def test_the_limit_holds_for_every_format(kind: str) -> None:
    assert decode(FILES[kind], max_pixels=64 * 48).width == 64
    error = refusal(FILES[kind], max_pixels=64 * 48 - 1)
    assert error.code == "too_many_pixels"
    assert "64 x 48 = 3,072" in error.detail
    assert "3,071" in error.detail


def test_claims() -> None:
    tiny = gif((50_000, 50_000), (50_000, 50_000))
    assert len(tiny) <= 40
    for data in (
        tiny,
        gif((1, 1), (50_000, 50_000)),
        png(50_000, 50_000),
        isobmff_claiming(FILES["avif"], 17_000, 17_000),
        isobmff_claiming(FILES["heic"], 17_000, 17_000),
    ):
        assert refusal(data).code == "too_many_pixels"


LIMITED = """
import resource, sys
from embeddings.errors import ImageError
from embeddings.operators.decode.pillow import decode
from tests.embeddings.pictures import FORMATS
from tests.embeddings.pictures import claiming
files = {kind: claiming(kind, 12000, 12000) for kind in FORMATS}
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 200_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for kind, data in files.items():
    try:
        decode(data)
    except ImageError as error:
        print(kind, error.code)
# The limit bites: where the number is allowed, the memory is not there.
try:
    decode(files["bmp"], max_pixels=10**9)
except ImageError as error:
    print("without", error.code)
"""


def test_refused_before_memory_is_taken() -> None:
    """144 megapixels need 400 MB and more; the process may take 200 MB on top of what it has."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    codes = dict(line.split() for line in done.stdout.splitlines())
    assert codes == dict.fromkeys(FORMATS, "too_many_pixels") | {"without": "hostile"}


@pytest.mark.parametrize("kind", ["png", "gif", "tiff", "bmp"])
def test_95_megapixels_are_taken_without_a_warning(kind: str) -> None:
    """Pillow would warn from 89 megapixels on; warnings are errors here."""
    data = encode(Image.new("L" if kind == "gif" else "1", (9_500, 10_000), 255), kind)
    decoded = decode(data)
    assert (decoded.width, decoded.height) == (9_500, 10_000)
    assert decoded.image.getpixel((9_499, 9_999)) == (255, 255, 255)


@pytest.mark.parametrize("disposal", [2, 3])
def test_a_gif_of_95_megapixels_that_outgrows_its_screen(disposal: int) -> None:
    # Its pixels are missing, but nothing warned on the way to finding that out.
    assert refusal(gif((10, 10), (9_500, 10_000), disposal)).code == "truncated"


# Bombs.

BOMB = zlib.compress(b"x" * 50_000_000, 9)


@pytest.mark.parametrize(
    "extra",
    [
        [chunk(b"zTXt", b"a\0\0" + BOMB)],
        [chunk(b"iTXt", b"a\0\1\0\0\0" + BOMB)],
        [chunk(b"iCCP", b"a\0\0" + BOMB)],
        [chunk(b"zTXt", b"a%d\0\0" % at + zlib.compress(b"x" * 1_000_000)) for at in range(80)],
    ],
    ids=["zTXt", "iTXt", "iCCP", "many"],
)
def test_metadata_that_unpacks_to_much(extra: list[bytes]) -> None:
    assert refusal(png_before_pixels(FILES["png"], *extra)).code == "hostile"


def test_metadata_behind_the_pixels() -> None:
    data = FILES["png"]
    assert refusal(data[:-12] + chunk(b"zTXt", b"a\0\0" + BOMB) + data[-12:]).code == "hostile"


def test_a_jpeg_of_endless_scans() -> None:
    data = encode(scene(), "jpeg", progressive=True)
    assert decode(data).format == "jpeg"
    scan = data[data.rindex(b"\xff\xda") : -2]
    assert refusal(data[:-2] + scan * 300 + data[-2:]).code == "hostile"


def test_a_tiff_whose_directory_is_itself() -> None:
    data = bytearray(FILES["tiff"])
    at = struct.unpack_from("<I", data, 4)[0]
    entries = struct.unpack_from("<H", data, at)[0]
    struct.pack_into("<I", data, at + 2 + 12 * entries, at)
    assert decode(bytes(data)).width == 64


# Broken files: an ImageError or a picture, and nothing else.


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.95, 0.8, 0.6, 0.4, 0.2])
def test_truncated(kind: str, share: float) -> None:
    data = FILES[kind]
    assert refusal(data[: int(len(data) * share)]).code in ("truncated", "corrupt")


@pytest.mark.parametrize("kind", FORMATS)
def test_half_a_file_is_called_truncated(kind: str) -> None:
    assert refusal(FILES[kind][: len(FILES[kind]) // 2]).code == "truncated"


@pytest.mark.parametrize(
    ("kind", "start", "end"),
    [("png", 60, -30), ("avif", 350, -2), ("jpeg", 20, -2)],
)
def test_garbage_in_the_middle_is_called_corrupt(kind: str, start: int, end: int) -> None:
    data = FILES[kind]
    garbage = bytes((7 * at + 13) % 251 for at in range(len(data)))
    assert refusal(data[:start] + garbage[start:end] + data[end:]).code == "corrupt"


def _outcome(data: bytes) -> None:
    """A refusal is an ImageError; any other exception fails the test by itself."""
    with contextlib.suppress(ImageError):
        decoded = decode(data, max_pixels=1_000_000)
        assert decoded.image.mode == "RGB"
        assert decoded.image.size == (decoded.width, decoded.height)
        decoded.image.tobytes()


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=examples(150))
@given(data=st.data())
def test_flipped_and_cut_bytes(kind: str, data: st.DataObject) -> None:
    broken = bytearray(FILES[kind])
    places = st.integers(0, len(broken) - 1)
    # Headers are where the interesting mistakes are.
    near = st.integers(0, min(len(broken), 120) - 1)
    for at, value in data.draw(
        st.lists(st.tuples(near | places, st.integers(0, 255)), max_size=8), label="changes"
    ):
        broken[at] = value
    if data.draw(st.booleans(), label="cut"):
        del broken[data.draw(places, label="from") :]
    if data.draw(st.booleans(), label="hole"):
        start = data.draw(st.integers(0, len(broken)), label="start")
        del broken[start : start + data.draw(st.integers(1, 64), label="length")]
    _outcome(bytes(broken))


@settings(max_examples=examples(100))
@given(st.sampled_from([data[:16] for data in FILES.values()]), st.binary(max_size=400))
def test_a_true_beginning_and_noise(head: bytes, noise: bytes) -> None:
    _outcome(head + noise)


@settings(max_examples=examples(100))
@given(st.binary(max_size=300))
def test_noise(noise: bytes) -> None:
    _outcome(noise)
