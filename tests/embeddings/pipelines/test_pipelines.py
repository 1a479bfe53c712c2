"""The pipeline itself: faithful to timm, deterministic, thread-safe, clear about bad input."""

import dataclasses
import importlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from embeddings import pipeline, thread_count
from embeddings.errors import EmbeddingsError, ImageError, InputError, RecipeError, UnknownName
from embeddings.models.cards import model_card
from embeddings.models.timm_import import timm
from embeddings.models.weights import load_model
from embeddings.operators.decode.pillow import decode
from embeddings.operators.transform import ResizeCenterCrop
from embeddings.pipelines import ImagePipeline
from embeddings.recipes import Operator, Recipe, recipe
from tests.embeddings.conftest import EXACT
from tests.embeddings.pictures import encode, scene

Vectors = NDArray[np.float32]


@pytest.fixture(scope="module")
def vectors(exact: ImagePipeline, demo: list[Path]) -> Vectors:
    """The vectors of the whole demo, computed as one list of paths."""
    return exact(demo)


@pytest.fixture(scope="module")
def reference() -> Any:
    """timm's own model with our weights, plain layout, norms not folded."""
    return load_model(model_card("efficientnet-lite0"))


@pytest.mark.slow
@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.long)])
def test_agrees_with_timm_on_demo_pictures(
    step: int, vectors: Vectors, demo: list[Path], reference: Any
) -> None:
    timm()
    data: Any = importlib.import_module("timm.data")
    transform = data.create_transform(
        input_size=(3, 224, 224),
        interpolation="bicubic",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        crop_pct=0.875,
    )
    assert len(demo) == 228
    assert vectors.shape == (228, 1280)
    paths, ours = demo[::step], vectors[::step]
    cosines: list[float] = []
    with torch.inference_mode():
        for at in range(0, len(paths), 12):
            prepared = []
            for path in paths[at : at + 12]:
                with Image.open(path) as image:
                    prepared.append(transform(image.convert("RGB")))
            x = torch.stack(prepared)
            features = reference.forward_head(reference.forward_features(x), pre_logits=True)
            theirs = torch.nn.functional.normalize(features).numpy()
            cosines += (theirs * ours[at : at + 12]).sum(axis=1).tolist()
    assert len(cosines) == len(paths)
    assert min(cosines) >= 0.9999


def test_the_quick_forms_of_the_model_agree_with_the_plain_one(
    exact: ImagePipeline, demo: list[Path], reference: Any
) -> None:
    """Folded norms and channels-last memory, given the same pixels."""
    prepared = [exact.prepare(decode(path).image) for path in demo[::20]]
    with torch.inference_mode():
        x = torch.from_numpy(np.stack(prepared)).float() / 127.5 - 1
        plain = torch.nn.functional.normalize(reference.forward_features(x).mean((2, 3)), dim=1)
    cosines = (plain.numpy() * exact.embed(prepared)).sum(axis=1)
    assert cosines.min() >= 0.99999


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("categorization-volleyball.jpg", 890),
        ("erase-red_panda.jpg", 387),
        ("explore_farm_animals-dog.jpg", 235),
        ("explore_world_animals-koala.jpg", 105),
        ("explore_world_animals-panda.jpg", 388),
        ("explore_world_animals-polar_bear.jpg", 296),
        ("explore_world_animals-lemur.jpg", 383),
        ("explore_world_animals-scarlet_macaw.jpg", 88),
    ],
)
def test_the_weights_know_what_they_see(
    name: str, label: int, exact: ImagePipeline, demo: list[Path], reference: Any
) -> None:
    """ImageNet's classes: a tensor under a wrong name would not give them."""
    pixels = exact.prepare(decode(demo[0].parent / name).image)
    with torch.inference_mode():
        logits = reference(torch.from_numpy(pixels)[None].float() / 127.5 - 1)
    assert int(logits.argmax()) == label


def test_vectors_are_unit_float32_and_contiguous(vectors: Vectors) -> None:
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.slow
def test_any_batch_size_gives_the_same_vectors(exact: ImagePipeline, demo: list[Path]) -> None:
    prepared = [exact.prepare(decode(path).image) for path in demo[:34]]
    whole = exact.embed(prepared)
    for size in (1, 3, 16):
        parts = [exact.embed(prepared[at : at + size]) for at in range(0, 34, size)]
        assert np.abs(np.concatenate(parts) - whole).max() <= 1e-5
    assert np.array_equal(exact.embed(prepared), whole)


def test_any_number_of_threads_gives_the_same_vectors(
    exact: ImagePipeline, demo: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_count, "_threads", None)  # as in a process of its own
    thread_count.apply_threads()
    prepared = [exact.prepare(decode(path).image) for path in demo[:8]]
    one = exact.embed(prepared)
    before = thread_count.threads()
    assert torch.get_num_threads() == before == thread_count.cores()
    try:
        for threads in (1, 2, 3):
            thread_count.set_threads(threads)
            assert torch.get_num_threads() == threads
            assert np.abs(exact.embed(prepared) - one).max() <= 1e-5
    finally:
        thread_count.set_threads(before)
    with pytest.raises(ValueError, match="not 0"):
        thread_count.set_threads(0)


def test_every_kind_of_picture(exact: ImagePipeline, demo: list[Path], vectors: Vectors) -> None:
    path = demo[0]
    data = path.read_bytes()
    image = decode(data).image
    pictures: list[Any] = [path, str(path), data, io.BytesIO(data), image, np.asarray(image)]
    with Image.open(path) as opened:
        pictures.append(opened)
        for picture in pictures:
            vector = exact(picture)
            assert vector.shape == (1280,)
            assert vector.dtype == np.float32
            assert vector.flags.c_contiguous
            assert np.abs(vector - vectors[0]).max() <= 1e-5
    with path.open("rb") as file:
        assert np.abs(exact([file, data]) - vectors[0]).max() <= 1e-5


def test_pil_pictures_go_the_same_way_as_files(exact: ImagePipeline) -> None:
    """Orientation and transparency count however the picture comes."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(scene().convert("RGBA"), "png", exif=exif.tobytes())
    with Image.open(io.BytesIO(data)) as opened:
        assert np.abs(exact(opened) - exact(data)).max() <= 1e-5
        assert np.array_equal(exact.prepare(opened), exact.prepare(decode(data).image))


def test_lists(exact: ImagePipeline, demo: list[Path]) -> None:
    assert exact([]).shape == (0, 1280)
    assert exact([demo[0]]).shape == (1, 1280)
    assert exact((demo[0], demo[1])).shape == (2, 1280)
    assert exact.embed([]).shape == (0, 1280)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((8, 8), np.uint8), "shape (8, 8)"),
        (np.zeros((8, 8, 4), np.uint8), "(8, 8, 4)"),
        (np.zeros((8, 8, 3), np.float32), "float32"),
        (np.zeros((0, 8, 3), np.uint8), "no pixels"),
        (7, "not int"),
        (None, "not NoneType"),
    ],
)
def test_what_is_no_picture(exact: ImagePipeline, picture: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        exact(picture)
    assert caught.value.code == "bad_input"
    assert words in caught.value.detail


def test_bad_pictures_raise_image_errors(exact: ImagePipeline) -> None:
    with pytest.raises(ImageError) as caught:
        exact([encode(scene(), "png"), b"%PDF-1.4"])
    assert caught.value.code == "not_a_picture"
    with pytest.raises(ImageError) as caught:
        exact(Image.new("1", (20_000, 10_000)))
    assert caught.value.code == "too_many_pixels"
    with pytest.raises(FileNotFoundError):
        exact("no-such-file.jpg")


def test_prepared_pictures_of_another_shape(exact: ImagePipeline) -> None:
    with pytest.raises(InputError, match=r"\(3, 8, 8\)"):
        exact.embed([np.zeros((3, 8, 8), np.uint8), np.zeros((3, 224, 224), np.uint8)])


def test_threads_get_their_own_vectors(
    exact: ImagePipeline, demo: list[Path], vectors: Vectors
) -> None:
    def one(at: int) -> float:
        image = decode(demo[at]).image
        return float(np.abs(exact.embed([exact.prepare(image)])[0] - vectors[at]).max())

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(one, range(0, 228, 6))) <= 1e-5


def test_one_pipeline_is_loaded_however_many_ask() -> None:
    barrier = threading.Barrier(6)

    def ask(_: int) -> ImagePipeline:
        barrier.wait(30)
        return pipeline(dataclasses.replace(recipe(), name="asked-at-once"))

    with ThreadPoolExecutor(6) as pool:
        pipelines = list(pool.map(ask, range(6)))
    assert len({id(one) for one in pipelines}) == 1
    assert pipelines[0].recipe.name == "asked-at-once"


def test_what_a_pipeline_says_of_itself(exact: ImagePipeline) -> None:
    assert exact is pipeline(EXACT, runtime="torch")
    assert exact.recipe == recipe(EXACT)
    assert exact.fingerprint == recipe(EXACT).fingerprint
    assert (exact.runtime, exact.precision) == ("torch", "float32")
    text = exact.explain()
    for operator in exact.recipe:
        assert operator.name in text
        assert all(key in text for key, _ in operator.parameters)
    assert exact.fingerprint in text


def _with(at: int, **changes: Any) -> Recipe:
    base = recipe()
    old = base.operators[at]
    new = Operator.of(old.name, old.version, dict(old.parameters) | changes)
    return dataclasses.replace(
        base, operators=(*base.operators[:at], new, *base.operators[at + 1 :])
    )


def _swapped(at: int, operator: Operator) -> Recipe:
    base = recipe()
    operators = (*base.operators[:at], operator, *base.operators[at + 1 :])
    return dataclasses.replace(base, operators=operators)


@pytest.mark.parametrize(
    ("broken", "near"),
    [
        (_swapped(3, Operator.of("normalize.l1", 1)), "normalize.l2"),
        (_swapped(3, Operator.of("normalize.l2", 2)), "normalize.l2 version 1"),
        (_swapped(0, Operator.of("image_decode.pilow", 1)), "image_decode.pillow"),
    ],
)
def test_unknown_operators_and_versions(broken: Recipe, near: str) -> None:
    with pytest.raises(UnknownName) as caught:
        pipeline(broken)
    assert caught.value.nearest[0] == near


@pytest.mark.parametrize(
    "broken",
    [
        _with(0, background="#000000"),
        _with(0, surprise=1),
        _with(1, interpolation="nearest"),
        _with(1, antialias=False),
        _with(1, crop_pct=1.5),
        _with(1, size=0),
        _with(1, crop_first="yes"),
        _with(0, draft_short_side="512"),
        _with(2, architecture="efficientnet_lite0"),
        _with(2, pooling="cls"),
        _with(2, pooling="maximum"),
        _with(2, layer="blocks.33"),
        _with(2, std=(0, 1, 1)),
        _with(2, mean=(1e39, 0, 0)),
        _with(2, mean="rgb"),
        _with(2, weights_sha256="0" * 64),
        _with(2, weights_sha256=None),
        _with(2, layer=None),
        _with(2, size=224),
        dataclasses.replace(recipe(), operators=recipe().operators[:3]),
        dataclasses.replace(recipe(), operators=recipe().operators[::-1]),
        _swapped(3, Operator.of("normalize.power", 1, {"alpha": 0.5})),
        dataclasses.replace(recipe(), dimension=512),
    ],
)
def test_recipes_that_cannot_be_run(broken: Recipe) -> None:
    with pytest.raises(EmbeddingsError) as caught:
        pipeline(broken, runtime="torch")
    assert isinstance(caught.value, RecipeError | UnknownName)


def test_unknown_pipelines() -> None:
    with pytest.raises(UnknownName) as caught:
        pipeline("image-embedding-efficientnet-lite0:exat")
    assert caught.value.nearest[0] == EXACT


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 3000), (50_000_000, 1), (224, 224), (256, 256), (225, 301)]
)
def test_odd_sizes(exact: ImagePipeline, size: tuple[int, int]) -> None:
    prepared = exact.prepare(Image.new("RGB", size, (200, 100, 50)))
    assert prepared.shape == (3, 224, 224)
    assert prepared.dtype == np.uint8
    assert prepared.flags.c_contiguous
    assert prepared.mean(axis=(1, 2)).tolist() == [200, 100, 50]


@pytest.mark.parametrize("size", [(4097, 256), (100, 2000), (9000, 300)])
def test_long_and_thin_pictures_are_resized_where_they_are_kept(size: tuple[int, int]) -> None:
    """The short cut gives what resizing the whole and cropping gives, but for rounding."""
    image = scene(*size)
    short = min(size)
    scaled = tuple(int(256 * side / short) for side in size)
    left, top = (round((side - 224) / 2) for side in scaled)
    whole = image.resize((scaled[0], scaled[1]), Image.Resampling.BICUBIC)
    expected = np.asarray(whole.crop((left, top, left + 224, top + 224)), dtype=int)
    for crop_first in (False, True):
        ours = ResizeCenterCrop(224, 0.875, "bicubic", True, crop_first)(image)
        assert np.abs(ours.transpose(1, 2, 0).astype(int) - expected).max() <= 1
