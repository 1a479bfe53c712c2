"""The default recipe: quicker on large JPEGs, faithful to timm, never mixed with another."""

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from embeddings import ops, pipeline, recipe
from embeddings.errors import ImageError, InputError, RecipeError, UnknownName
from embeddings.operators.decode.pillow import decode
from embeddings.pipelines import ImagePipeline
from embeddings.recipes import DEFAULT_PIPELINE
from tests.embeddings.conftest import EXACT
from tests.embeddings.pictures import encode, scene


@pytest.fixture(scope="module")
def fast() -> ImagePipeline:
    return pipeline(runtime="torch")


@pytest.fixture(scope="module")
def gallery(exact: ImagePipeline, demo: list[Path]) -> np.ndarray:
    """The vectors of the reference, of the whole demo."""
    vectors: np.ndarray = exact(demo)
    return vectors


def large(path: Path, factor: int) -> bytes:
    """A demo picture as a camera would have taken it: many pixels, then JPEG."""
    with Image.open(path) as picture:
        size = (picture.width * factor, picture.height * factor)
        out = io.BytesIO()
        picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(out, "JPEG", quality=90)
        return out.getvalue()


def test_the_bare_name_is_fast_and_another_fingerprint() -> None:
    assert recipe(DEFAULT_PIPELINE).fingerprint != recipe(EXACT).fingerprint
    assert not set(recipe(EXACT).operators) >= set(recipe(DEFAULT_PIPELINE).operators)


@pytest.mark.slow
@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.long)])
def test_agrees_with_the_reference_on_demo_pictures(
    step: int, fast: ImagePipeline, gallery: np.ndarray, demo: list[Path]
) -> None:
    cosines = (fast(demo[::step]) * gallery[::step]).sum(axis=1)
    assert cosines.mean() >= 0.998
    assert cosines.min() >= 0.98


@pytest.mark.parametrize("size", [(640, 390), (301, 900), (224, 224), (100, 70)])
def test_only_what_is_kept_is_resized(size: tuple[int, int]) -> None:
    whole, middle = (
        ops.image_transform.resize_center_crop(224, crop_first=first) for first in (False, True)
    )
    difference = np.abs(whole(scene(*size)).astype(int) - middle(scene(*size)))
    assert difference.mean() < 0.5
    assert "crop_first" not in dict(whole.recipe.parameters)  # the fingerprints of before
    assert dict(middle.recipe.parameters)["crop_first"] is True


@pytest.mark.slow
def test_large_pictures_are_nearly_the_same(
    fast: ImagePipeline, exact: ImagePipeline, demo: list[Path]
) -> None:
    files = [large(path, factor) for path in demo[::24] for factor in (3, 6)]
    cosines = (fast(files) * exact(files)).sum(axis=1)
    assert cosines.mean() >= 0.998
    assert cosines.min() >= 0.98
    assert cosines.min() < 1  # they were decoded smaller


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "short_side", "decoded"),
    [
        ((2000, 1600), 512, (667, 534)),
        ((2000, 1600), 400, (500, 400)),
        ((4000, 4000), 400, (500, 500)),
        ((1000, 3000), 512, (1000, 3000)),
        ((1023, 1023), 512, (1023, 1023)),
        ((1025, 2051), 512, (513, 1026)),
    ],
)
def test_no_smaller_than_asked(
    size: tuple[int, int], short_side: int, decoded: tuple[int, int]
) -> None:
    draft = decode(encode(scene(*size), "JPEG"), draft_short_side=short_side)
    if size == (2000, 1600) and short_side == 512:
        decoded = (1000, 800)  # halves, quarters and eighths only
    assert draft.image.size == decoded
    assert (draft.width, draft.height) == size


def test_orientation_and_true_size_of_a_draft() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(scene(2400, 1201), "JPEG", exif=exif)
    draft = decode(data, draft_short_side=512)
    assert (draft.width, draft.height) == (1201, 2400)
    assert draft.image.size == (601, 1200)


def test_other_formats_are_decoded_whole() -> None:
    assert decode(encode(scene(2048, 2048), "PNG"), draft_short_side=256).image.size == (2048, 2048)


def test_vectors_come_as_they_are_asked_for(exact: ImagePipeline, demo: list[Path]) -> None:
    count = 0

    def endless() -> Iterator[Path]:
        nonlocal count
        while True:
            count += 1
            yield demo[count % len(demo)]

    stream = exact.stream(endless(), workers=2)
    first = next(stream)
    assert np.array_equal(first, exact(demo[1])) or np.abs(first - exact(demo[1])).max() <= 1e-5
    assert count <= 63  # 1 + 2 + 4 + 8 + 8 + 8, and some more while the first was computed
    stream.close()  # type: ignore[attr-defined]


def test_what_an_iterable_raises_comes_behind_the_vectors(
    exact: ImagePipeline, demo: list[Path]
) -> None:
    def broken() -> Iterator[Path]:
        yield from demo[:13]
        raise OSError("the camera is gone")

    stream = exact.stream(broken(), workers=2)
    assert [next(stream).shape for _ in range(13)] == [(1280,)] * 13
    with pytest.raises(OSError, match="the camera is gone"):
        next(stream)


def test_a_slow_source_is_not_waited_for(exact: ImagePipeline, demo: list[Path]) -> None:
    count = 0

    def slow() -> Iterator[Path]:
        nonlocal count
        for path in demo[:20]:
            time.sleep(0.2)
            count += 1
            yield path

    stream = exact.stream(slow(), workers=2)
    next(stream)
    assert count <= 7


@pytest.mark.parametrize("wrong", ["a.jpg", b"bytes", Path("a.jpg"), None, 5])
def test_a_stream_is_of_several_pictures(exact: ImagePipeline, wrong: object) -> None:
    with pytest.raises(InputError, match="several pictures"):
        exact.stream(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [0, -1, 1.5])
def test_a_stream_has_workers(exact: ImagePipeline, workers: object) -> None:
    with pytest.raises(InputError, match="workers must be"):
        exact.stream([], workers=workers)  # type: ignore[arg-type]


def test_pixels_that_were_not_prepared_for_it(exact: ImagePipeline) -> None:
    wrongs: list[Any] = [
        np.zeros((3, 100, 100), np.uint8),
        np.zeros((3, 224, 224), np.float32),
        np.zeros((1, 3, 224, 224), np.uint8),
    ]
    for wrong in wrongs:
        with pytest.raises(InputError, match=r"uint8 of shape \(3, 224, 224\)"):
            exact.embed([wrong])


def test_an_iterator_is_for_a_stream(exact: ImagePipeline, demo: list[Path]) -> None:
    with pytest.raises(InputError, match="stream"):
        exact(iter(demo))
    with demo[0].open("rb") as file:
        assert exact(file).shape == (1280,)


@pytest.mark.parametrize("wrong", [None, 5, ["x"]])
def test_what_is_no_recipe(wrong: object) -> None:
    with pytest.raises(InputError, match="A recipe is a name"):
        pipeline(wrong)  # type: ignore[arg-type]


def test_a_bad_picture_is_told_at_its_place(exact: ImagePipeline, demo: list[Path]) -> None:
    pictures = [*demo[:10], b"no picture", *demo[10:20]]
    stream = exact.stream(pictures, workers=2)
    assert [next(stream).shape for _ in range(10)] == [(1280,)] * 10
    with pytest.raises(ImageError, match="not a picture"):
        next(stream)


def test_recipes_from_dictionaries_and_files(tmp_path: Path) -> None:
    expected = recipe(EXACT)
    file = tmp_path / "mine.json"
    file.write_text(expected.to_json())
    for source in (expected.to_dict(), file, str(file)):
        assert pipeline(source, runtime="torch").fingerprint == expected.fingerprint
    with pytest.raises(RecipeError, match="cannot be read"):
        pipeline(tmp_path / "none.json")
    file.write_text(json.dumps({"name": "x"}))
    with pytest.raises(RecipeError):
        pipeline(file)
    with pytest.raises(UnknownName, match="image-embedding-efficientnet-lite0"):
        pipeline("image-embeding-efficientnet-lite0")


@pytest.mark.slow
def test_nearest_and_bicubic_give_different_neighbours(
    exact: ImagePipeline, gallery: np.ndarray, demo: list[Path]
) -> None:
    """The pitfall: the same picture, resized by another filter, is another vector."""

    def nearest(path: Path) -> np.ndarray:
        picture = decode(path).image
        scale = 256 / min(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        small = picture.resize(size, Image.Resampling.NEAREST)
        left, top = (size[0] - 224) // 2, (size[1] - 224) // 2
        square = np.asarray(small.crop((left, top, left + 224, top + 224)))
        vector: np.ndarray = exact.embed([np.ascontiguousarray(square.transpose(2, 0, 1))])[0]
        return vector

    changed = 0
    for path, vector in zip(demo[:20], gallery, strict=False):
        right = np.argsort(-(gallery @ vector))[:10]
        wrong = np.argsort(-(gallery @ nearest(path)))[:10]
        changed += list(right) != list(wrong)
    assert changed >= 5
    # So a recipe that says another filter is another fingerprint, and 'nearest' is none at all.
    data = recipe(EXACT).to_dict()
    data["operators"][1]["parameters"]["interpolation"] = "bilinear"
    assert pipeline(data, runtime="torch").fingerprint != exact.fingerprint
    data["operators"][1]["parameters"]["interpolation"] = "nearest"
    with pytest.raises(RecipeError, match="interpolation"):
        pipeline(data)
