"""Transforms other than the default one, views, and vectors of views."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from embeddings import ops
from embeddings.errors import InputError, RecipeError
from embeddings.operators.decode.pillow import decode
from embeddings.operators.multi_view import embed_views
from embeddings.operators.transform import ResizeCenterCrop
from embeddings.runtimes.spec import CPU_BATCH
from tests.embeddings.pictures import scene

MAKERS = ("resize_center_crop", "squash", "letterbox", "five_crop")


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("size", [(1, 1), (3, 3000), (50_000_000, 1), (224, 224), (225, 301)])
def test_shapes_of_odd_pictures(name: str, size: tuple[int, int]) -> None:
    pixels = getattr(ops.image_transform, name)(size=96)(Image.new("RGB", size, (200, 100, 50)))
    assert pixels.shape == ((5, 3, 96, 96) if name == "five_crop" else (3, 96, 96))
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    if name != "letterbox":
        assert pixels.reshape(-1, 3, 96 * 96).mean(axis=(0, 2)).tolist() == [200, 100, 50]


def test_pictures_that_are_extremely_long_keep_their_colour() -> None:
    image = Image.new("RGB", (50_000_000, 1), (200, 100, 50))
    boxed = ops.image_transform.letterbox(96, "#000000")(image)
    assert boxed.max(axis=1)[:, 0].tolist() == [200, 100, 50]
    # Up to a thousand pixels to one it is the plain filter.
    long = scene(90_000, 3)
    plain = np.asarray(long.resize((96, 96), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert np.array_equal(ops.image_transform.squash(96)(long), plain)


@pytest.mark.parametrize("name", MAKERS)
def test_demo_pictures(name: str, demo: list[Path]) -> None:
    make = getattr(ops.image_transform, name)()
    for path in demo[::60]:
        image = decode(path).image
        pixels = make(image)
        assert pixels.shape[-3:] == (3, 224, 224)
        assert pixels.std() > 5
        assert np.array_equal(make(image), pixels)


def test_squash_keeps_all_four_corners() -> None:
    pixels = ops.image_transform.squash(64)(scene(300, 40)).transpose(1, 2, 0).astype(int)
    corners = [[230, 30, 30], [30, 200, 30], [30, 30, 230], [245, 245, 245]]
    colours = [pixels[0, 0], pixels[0, -1], pixels[-1, 0], pixels[-1, -1]]
    assert np.abs(np.array(colours) - corners).max() <= 6


def test_letterbox_pads_with_its_colour() -> None:
    make = ops.image_transform.letterbox(100, "#102030")
    pixels = make(Image.new("RGB", (200, 50), (250, 250, 250)))
    assert pixels[:, 0, 0].tolist() == [0x10, 0x20, 0x30]
    assert (pixels[:, 37:62] == 250).all()  # 100 x 25, in the middle
    assert (pixels[0, :37] == 0x10).all()
    assert (pixels[0, 62:] == 0x10).all()
    tall = make(Image.new("RGB", (50, 200), (250, 250, 250)))
    assert np.array_equal(tall.transpose(0, 2, 1), pixels)


def test_five_crops_are_the_corners_and_the_middle() -> None:
    image = scene(400, 300)
    views = ops.image_transform.five_crop(size=96, crop_pct=0.75)(image)
    whole = np.asarray(image.resize((170, 128), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    corners = whole[:, :96, :96], whole[:, :96, -96:], whole[:, -96:, :96], whole[:, -96:, -96:]
    for view, corner in zip(views, corners, strict=False):
        assert np.array_equal(view, corner)
    assert np.array_equal(views[4], ResizeCenterCrop(96, 0.75, "bicubic", True)(image))


def test_flip_mirrors_every_view() -> None:
    flip = ops.image_transform.flip()
    pixels = ops.image_transform.squash(32)(scene())
    views = flip(pixels)
    assert views.shape == (2, 3, 32, 32)
    assert np.array_equal(views[0], pixels)
    assert np.array_equal(views[1], pixels[:, :, ::-1])
    assert flip(views).shape == (4, 3, 32, 32)
    for wrong in (pixels[0], pixels.astype(np.float32), pixels.transpose(1, 2, 0), scene()):
        with pytest.raises(InputError, match="uint8 of shape"):
            flip(wrong)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("squash", {"size": 0}),
        ("squash", {"size": 2.5}),
        ("squash", {"interpolation": "nearest"}),
        ("letterbox", {"antialias": False}),
        ("letterbox", {"fill": "grey"}),
        ("five_crop", {"crop_pct": 1.2}),
        ("five_crop", {"corners": 4}),
        ("flip", {"axis": 1}),
    ],
)
def test_wrong_parameters_fail_where_they_are_written(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        getattr(ops.image_transform, name)(**wrong)


class _Means:
    """A model whose vector is the mean of each channel, and which notes its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(len(pixels))
        vectors: NDArray[np.float32] = pixels.mean(axis=(2, 3), dtype=np.float32)
        return vectors


def test_views_are_averaged_picture_by_picture() -> None:
    rng = np.random.default_rng(3)
    one, two, five = (rng.integers(0, 256, (v, 3, 8, 8), np.uint8) for v in (1, 2, 5))
    model = _Means()
    vectors = embed_views(model, [one[0], two, five])
    assert model.batches == [8]
    expected = [views.mean(axis=(0, 2, 3)) for views in (one, two, five)]
    np.testing.assert_allclose(vectors, expected, rtol=1e-5)
    assert vectors.dtype == np.float32
    embed_views(model, [five] * 9)
    assert model.batches[1:] == [CPU_BATCH, 13]
    assert embed_views(model, []).shape == (0, 0)


def test_views_of_different_sizes() -> None:
    with pytest.raises(InputError, match=r"\(3, 4, 4\), \(3, 8, 8\)"):
        embed_views(_Means(), [np.zeros((3, s, s), np.uint8) for s in (4, 8)])
    with pytest.raises(InputError, match="not list"):
        embed_views(_Means(), [[1, 2]])  # type: ignore[list-item]
