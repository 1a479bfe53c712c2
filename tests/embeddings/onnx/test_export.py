"""A pipeline as an ONNX file: the vectors are the pipeline's, without torch and this library."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from PIL import Image

from embeddings import DEFAULT_PIPELINE, export_onnx, ops, pipeline, recipe
from embeddings.errors import (
    InputError,
    OutputError,
    PackageMissing,
    RecipeError,
    RuntimeUnavailable,
    UnknownName,
)
from embeddings.onnx import export
from embeddings.onnx.export import Exported
from embeddings.onnx.graph_builder import Graph
from embeddings.onnx.preprocessing import prepared
from embeddings.pipelines import ImagePipeline
from embeddings.runtimes.agreement import check_pixels
from harness.installation import clean_environment
from tests.embeddings.conftest import EXACT
from tests.embeddings.pictures import scene
from tests.properties import examples

T = ops.image_transform
# Each chain of transforms, and the largest difference to Pillow's way on any picture.
CHAINS: dict[str, tuple[Any, ...]] = {
    "crop": (T.resize_center_crop(64),),
    "crop first": (T.resize_center_crop(64, crop_first=True),),
    "no crop": (T.resize_center_crop(64, crop_pct=1.0),),
    "bilinear": (T.resize_center_crop(65, 0.8, interpolation="bilinear"),),
    "lanczos": (T.resize_center_crop(64, interpolation="lanczos"),),
    "squash": (T.squash(64),),
    "letterbox": (T.letterbox(63, fill="#10f080"),),
    "five crops": (T.five_crop(64),),
    "mirrored": (T.squash(64), T.flip()),
    "mirrored twice": (T.five_crop(32, 0.5), T.flip(), T.flip()),
}


@functools.cache
def session(chain: str) -> Any:
    """The transforms alone, in ONNX Runtime."""
    graph = Graph("g")
    views = prepared(graph, "pixels", [one.recipe for one in CHAINS[chain]], "prepared")
    shapes: dict[str, list[str | int]]
    shapes = {"pixels": ["n", "h", "w", 3], "prepared": ["m", 3, "s", "s"]}
    ends = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, shape)
        for name, shape in shapes.items()
    ]
    onnx_graph = helper.make_graph(graph.nodes, "transforms", ends[:1], ends[1:], graph.constants)
    model = helper.make_model(
        onnx_graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    )
    onnx.checker.check_model(model, full_check=True)
    return views, onnxruntime.InferenceSession(model.SerializeToString())


def compared(chain: str, picture: Image.Image) -> Any:
    """Absolute differences, int (V, 3, S, S), of the graph and the operators."""
    expected: Any = picture
    for transform in CHAINS[chain]:
        expected = transform(expected)
    views, graph = session(chain)
    (result,) = graph.run(None, {"pixels": np.asarray(picture)[None]})
    assert result.dtype == np.uint8
    assert len(result) == views
    return np.abs(result.astype(int) - expected.reshape(result.shape).astype(int))


@settings(max_examples=examples(40))
@given(width=st.integers(1, 300), height=st.integers(1, 300), seed=st.integers(0, 9))
@pytest.mark.parametrize("chain", CHAINS)
def test_transforms_give_what_pillow_gives(chain: str, width: int, height: int, seed: int) -> None:
    """Of noise, which shows every difference, where Pillow too begins with the rows.

    A sum near a half may be rounded to either side, and a filter may enlarge that once more.
    """
    shape = min(width, height), max(width, height), 3
    noise = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    assert compared(chain, Image.fromarray(noise)).max() <= 2


@settings(max_examples=examples(20))
@given(width=st.integers(1, 300), height=st.integers(1, 300))
@pytest.mark.parametrize("chain", CHAINS)
def test_smooth_pictures_of_any_shape(chain: str, width: int, height: int) -> None:
    assert compared(chain, scene(width, height)).max() <= 2


@pytest.mark.parametrize("size", [(4000, 20), (20, 4000), (1, 1), (1500, 1125)])
@pytest.mark.parametrize("chain", CHAINS)
def test_long_and_large_pictures(chain: str, size: tuple[int, int]) -> None:
    assert compared(chain, scene(*size)).max() <= 3


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export_onnx(EXACT, tmp_path_factory.mktemp("onnx") / "exact.onnx")


ALONE = """
import json, sys
import numpy as np, onnxruntime
from PIL import Image, ImageOps
session = onnxruntime.InferenceSession(sys.argv[1])
vectors = []
for path in sys.argv[2:]:
    picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    (vector,) = session.run(["vector"], {"pixels": np.asarray(picture)[None]})
    vectors.append(vector[0].tolist())
loaded = {"torch", "embeddings", "timm"} & set(sys.modules)
print(json.dumps([sorted(loaded), vectors]))
"""


@pytest.mark.slow
def test_the_file_needs_onnxruntime_alone(
    exported: Exported, exact: ImagePipeline, demo: list[Path], tmp_path: Path
) -> None:
    some = demo[::20]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(exported.path), *map(str, some)],
        cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded, vectors = json.loads(done.stdout)
    assert loaded == []
    result = np.array(vectors, np.float32)
    assert np.allclose(np.linalg.norm(result, axis=1), 1, atol=1e-5)
    cosines = (result * exact(some)).sum(axis=1)
    assert cosines.mean() > 0.9999
    assert cosines.min() > 0.9995


def test_several_pictures_at_once_are_as_one_by_one(exported: Exported, demo: list[Path]) -> None:
    graph = onnxruntime.InferenceSession(exported.path)
    pictures = [np.asarray(Image.open(path).convert("RGB").resize((90, 70))) for path in demo[:3]]
    (together,) = graph.run(None, {"pixels": np.stack(pictures)})
    for picture, vector in zip(pictures, together, strict=True):
        (alone,) = graph.run(None, {"pixels": picture[None]})
        assert np.abs(alone[0] - vector).max() < 1e-5


def test_the_file_says_what_it_is(exported: Exported) -> None:
    model = onnx.load_model(exported.path)
    onnx.checker.check_model(model, full_check=True)
    facts = {fact.key: fact.value for fact in model.metadata_props}
    assert facts["fingerprint"] == exported.fingerprint == recipe(EXACT).fingerprint
    assert json.loads(facts["recipe"]) == recipe(EXACT).to_dict()
    assert json.loads(facts["models"])[0]["licence"] == "Apache-2.0"
    assert "EXIF orientation" in facts["decoding"]
    assert float(facts["mean_cosine"]) == pytest.approx(exported.mean_cosine, abs=1e-6)
    assert exported.mean_cosine > 0.9999
    assert exported.least_cosine > 0.999
    (model_input,), (result,) = model.graph.input, model.graph.output
    assert (model_input.name, result.name) == ("pixels", "vector")
    assert result.type.tensor_type.shape.dim[1].dim_value == exported.dimension == 1280


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three check pictures only."""
    pixels = check_pixels(256, 256)[:3]
    monkeypatch.setattr(export, "check_pixels", lambda _height, _width: pixels)


@pytest.mark.usefixtures("quick")
def test_views_and_powers_are_inside(tmp_path: Path, demo: list[Path]) -> None:
    recipe_dict = recipe(EXACT).to_dict()
    recipe_dict["operators"][1:2] = [T.squash(224).recipe.to_dict(), T.flip().recipe.to_dict()]
    recipe_dict["operators"].insert(-1, ops.normalize.power(0.5).recipe.to_dict())
    mine = pipeline(recipe_dict, runtime="torch")
    result = export_onnx(mine, tmp_path / "mine.onnx")
    assert result.fingerprint == mine.fingerprint
    graph = onnxruntime.InferenceSession(result.path)
    picture = Image.open(demo[0]).convert("RGB")
    (vectors,) = graph.run(None, {"pixels": np.asarray(picture)[None]})
    assert float(vectors[0] @ mine(picture)) > 0.9999


class TestRefused:
    def files(self, folder: Path) -> list[Path]:
        return list(folder.iterdir())

    @pytest.mark.slow
    def test_vectors_that_do_not_agree_well_enough(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeUnavailable, match=r"cosines of 0\.9999"):
            export_onnx(DEFAULT_PIPELINE, tmp_path / "a.onnx", least_cosine=0.99999)
        assert self.files(tmp_path) == []

    def test_numbers_that_are_no_cosines(self, tmp_path: Path) -> None:
        wrong: Any
        for wrong in (2, "0.9", True, float("nan")):
            with pytest.raises(InputError, match="mean_cosine"):
                export_onnx(EXACT, tmp_path / "a.onnx", mean_cosine=wrong)

    def test_a_model_with_a_transform_of_its_own(self, tmp_path: Path) -> None:
        recipe_dict = recipe(EXACT).to_dict()
        recipe_dict["operators"][2] = ops.image_embedding.timm(
            "efficientnet-lite0"
        ).recipe.to_dict()
        with pytest.raises(RecipeError, match="transform of its own"):
            export_onnx(recipe_dict, tmp_path / "a.onnx")

    def test_an_operator_that_onnx_does_not_know(self, tmp_path: Path) -> None:
        with pytest.raises(RecipeError, match=r"other\.package cannot be part"):
            prepared(Graph("g"), "pixels", [recipe(EXACT).operators[0].of("other.package", 1)], "p")

    def test_what_is_no_pipeline(self, tmp_path: Path) -> None:
        with pytest.raises(UnknownName, match="efficientnet-lite0"):
            export_onnx("image-embedding-efficientnet-lite9", tmp_path / "a.onnx")

    def test_where_it_cannot_be_written(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="No such file"):
            export_onnx(EXACT, tmp_path / "none" / "a.onnx")

    @pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
    def test_without_a_package(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
    ) -> None:
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(PackageMissing, match=f"pip install {package}"):
            export_onnx(EXACT, tmp_path / "a.onnx")
