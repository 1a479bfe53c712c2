"""What is no usable picture, argument or parameter is refused with a sentence that says so."""

import errno
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from embeddings import ops
from embeddings.errors import ImageError, InputError, RecipeError
from embeddings.operators.decode.pillow import decode, standardize
from embeddings.operators.thumbnails import dominant_color, shrink, thumbnail
from tests.embeddings.pictures import difference, encode, scene

pillow = ops.image_decode.pillow()
opencv = ops.image_decode.opencv()
TRANSFORMS = ("resize_center_crop", "squash", "letterbox", "five_crop")


def _transform(name: str, **parameters: Any) -> Any:
    return getattr(ops.image_transform, name)(**parameters)


# PIL images.


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I", "L"])
@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_pil_images_without_pixels(mode: str, size: tuple[int, int]) -> None:
    empty = Image.new(mode, size)
    for use in (pillow, standardize, dominant_color, lambda image: shrink(image, 8)):
        with pytest.raises(InputError, match="no pixels: its size is"):
            use(empty)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_of_nothing(name: str) -> None:
    with pytest.raises(InputError, match="no pixels: its size is 0 x 5"):
        _transform(name)(Image.new("RGB", (0, 5)))


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "bmp", "tiff"])
def test_pil_images_of_files_that_end_too_early(kind: str) -> None:
    data = encode(scene(400, 300), kind)[:-200]
    for use in (pillow, lambda image: thumbnail(image, 32)):
        with pytest.raises(ImageError, match=f"This {kind.upper()} ends too early") as caught:
            use(Image.open(io.BytesIO(data)))
        assert caught.value.code == "truncated"


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_of_files_that_end_too_early(name: str) -> None:
    opened = Image.open(io.BytesIO(encode(scene(400, 300), "png")[:-200]))
    with pytest.raises(ImageError, match="This PNG ends too early"):
        _transform(name)(opened)


def test_pil_images_of_damaged_files() -> None:
    data = bytearray(encode(scene(), "png"))
    data[60:-30] = bytes(len(data) - 90)
    with pytest.raises(ImageError) as caught:
        pillow(Image.open(io.BytesIO(bytes(data))))
    assert caught.value.code == "corrupt"


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (MemoryError(), "hostile"),
        (Image.DecompressionBombError("too large"), "too_many_pixels"),
        (ValueError("unsupported mode"), "unsupported_format"),
    ],
)
def test_pil_images_and_files_fail_alike(
    raised: Exception, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: Image.Image) -> None:
        raise raised

    opened = Image.open(io.BytesIO(encode(scene(), "bmp")))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    source: Any
    for use, source in ((pillow, opened), (decode, encode(scene(), "bmp"))):
        with pytest.raises(ImageError) as caught:
            use(source)
        assert caught.value.code == code


def test_a_disk_that_fails_is_no_bad_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: Image.Image) -> None:
        raise OSError(errno.EIO, "Input/output error")

    opened = Image.open(io.BytesIO(encode(scene(), "bmp")))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(OSError, match="Input/output"):
        pillow(opened)


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "bmp", "tiff"])
def test_pil_images_that_are_closed(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(encode(scene(), kind))
    with Image.open(path) as after_its_block:
        pass
    closed = Image.open(path)
    closed.close()
    with path.open("rb") as file:
        without_file = Image.open(file)
    for image in (after_its_block, closed, without_file):
        with pytest.raises(InputError, match="closed"):
            pillow(image)


def test_plain_pictures_that_are_closed() -> None:
    closed = scene()
    closed.close()
    for use in (pillow, ops.image_transform.squash(8), dominant_color):
        with pytest.raises(InputError, match="closed"):
            use(closed)


# Sources.


@pytest.mark.parametrize("wrong", [None, 5, [b"a"], io.BytesIO, Image])
def test_what_is_no_source(wrong: Any) -> None:
    for use in (decode, opencv):
        with pytest.raises(InputError, match=f"binary file object; not {type(wrong).__name__}"):
            use(wrong)
    with pytest.raises(InputError, match=f"a PIL image or .*; not {type(wrong).__name__}"):
        pillow(wrong)


def test_only_pillow_takes_pictures_and_arrays() -> None:
    wrong: Any
    for wrong in (scene(), np.asarray(scene())):
        for use in (decode, opencv):
            with pytest.raises(InputError, match=f"not {type(wrong).__name__}"):
                use(wrong)


def test_arrays() -> None:
    pixels = np.asarray(scene())
    image = pillow(pixels)
    assert image.mode == "RGB"
    assert difference(image, scene()) == 0
    turned = pillow(pixels[::-1, ::2])  # not contiguous
    assert np.array_equal(np.asarray(turned), pixels[::-1, ::2])


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((8, 8), np.uint8), r"uint8 of shape \(8, 8\)"),
        (np.zeros((8, 8, 4), np.uint8), r"\(8, 8, 4\)"),
        (np.zeros((8, 8, 3), np.float32), "float32"),
        (np.zeros((0, 8, 3), np.uint8), "no pixels"),
        (np.array(None), "object"),
    ],
)
def test_arrays_that_are_no_pictures(array: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        pillow(array)


@pytest.mark.parametrize("use", [decode, opencv])
def test_files_that_cannot_be_read(use: Any, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(encode(scene(), "png"))
    with path.open() as as_text, pytest.raises(InputError, match='with "rb"'):
        use(as_text)
    with pytest.raises(InputError, match='with "rb"'):
        use(io.StringIO("text"))
    with path.open("ab") as for_writing, pytest.raises(InputError, match='with "rb"'):
        use(for_writing)
    with path.open("rb") as closed:
        pass
    with pytest.raises(InputError, match="closed file"):
        use(closed)


@pytest.mark.parametrize(
    ("content", "words"), [(None, "nothing to read yet"), ("text", "not str"), (7, "not int")]
)
def test_file_objects_that_give_no_bytes(content: Any, words: str) -> None:
    class File:
        def read(self) -> Any:
            return content

    with pytest.raises(InputError, match=words):
        decode(File())  # type: ignore[arg-type]


def test_file_objects_of_other_bytes() -> None:
    class File:
        def read(self) -> bytearray:
            return bytearray(encode(scene(), "png"))

    assert decode(File()).format == "png"  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["a\0b.png", "a\ud800b.png"])
def test_text_that_can_be_no_path(path: str) -> None:
    for wrong in (path, Path(path)):
        with pytest.raises(InputError, match="can be no path"):
            decode(wrong)


def test_an_empty_path_and_a_path_of_bytes() -> None:
    class Entry:
        def __fspath__(self) -> bytes:
            return b"a.png"

    with pytest.raises(InputError, match="is empty"):
        decode("")
    with pytest.raises(InputError, match="can be no path"):
        decode(Entry())  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["http://example.org/a.png", "HTTPS://example.org/a.png"])
def test_addresses_are_not_opened(address: str) -> None:
    for wrong in (address, Path(address)):
        for use in (decode, opencv, pillow):
            with pytest.raises(InputError, match=r"image_decode\.url"):
                use(wrong)
    with pytest.raises(FileNotFoundError):
        decode("ftp/no-such-file.png")


def test_a_file_may_be_named_like_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "http:" / "example.org").mkdir(parents=True)
    (tmp_path / "http:" / "example.org" / "a.png").write_bytes(encode(scene(), "png"))
    monkeypatch.chdir(tmp_path)
    assert decode("http://example.org/a.png").format == "png"


# Transforms.


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F"])
def test_transforms_take_rgb_only(name: str, mode: str) -> None:
    with pytest.raises(InputError, match=f"as image_decode gives it; this is mode {mode}"):
        _transform(name)(Image.new(mode, (9, 9)))


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("wrong", [np.zeros((9, 9, 3), np.uint8), None, "a.png", b""])
def test_transforms_take_pictures_only(name: str, wrong: Any) -> None:
    with pytest.raises(InputError, match=f"takes an RGB picture.*not {type(wrong).__name__}"):
        _transform(name)(wrong)


# Parameters.


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("size", [0, -1, 4097, 10**400, True, None, "224", 2.5, [224]])
def test_sizes(name: str, size: Any) -> None:
    with pytest.raises(RecipeError, match="size must be a whole number of pixels, 1 to 4096"):
        _transform(name, size=size)


def test_the_largest_size() -> None:
    assert ops.image_transform.squash(4096)(scene()).shape == (3, 4096, 4096)


@pytest.mark.parametrize("name", ["resize_center_crop", "five_crop"])
@pytest.mark.parametrize(
    "crop_pct", ["0.875", None, [1], True, False, 0, -0.5, 1.01, 0.049, 1e-9, 1e-300, 10**400]
)
def test_crops(name: str, crop_pct: Any) -> None:
    with pytest.raises(RecipeError, match=r"crop_pct must be a number, 0\.05 to 1"):
        _transform(name, crop_pct=crop_pct)


@pytest.mark.parametrize("name", ["resize_center_crop", "five_crop"])
def test_the_resized_picture_has_a_limit(name: str) -> None:
    assert _transform(name, size=8, crop_pct=0.05)(scene()).shape[-2:] == (8, 8)
    _transform(name, size=4096, crop_pct=0.0625)
    with pytest.raises(RecipeError, match="81,920 pixels; 65,536 is the most"):
        _transform(name, size=4096, crop_pct=0.05)


@pytest.mark.parametrize("wrong", [[], "nearest", 1, None])
def test_filters(wrong: Any) -> None:
    for name in TRANSFORMS:
        with pytest.raises(RecipeError, match="interpolation must be one of"):
            _transform(name, interpolation=wrong)


@pytest.mark.parametrize("wrong", [True, False, 0, -8, 1.5, "512", [512]])
def test_drafts(wrong: Any) -> None:
    with pytest.raises(RecipeError, match="draft_short_side must be a whole number, 1 or more"):
        ops.image_decode.pillow(draft_short_side=wrong)
