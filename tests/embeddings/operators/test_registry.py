"""Operators by name, with their arguments, and those of other packages."""

import copy
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embeddings
from embeddings import Pipeline, ops, recipe
from embeddings.errors import (
    EmbeddingsError,
    InputError,
    OperatorUnavailable,
    RecipeError,
    UnknownName,
    UnknownOperator,
)
from embeddings.operators import registry
from embeddings.operators.bound import BoundOperator
from embeddings.recipes import Operator
from harness.installation import ROOT
from tests.embeddings.conftest import EXACT
from tests.embeddings.pictures import difference, encode, scene


def timm_operator() -> BoundOperator:
    """The default recipe's model."""
    return BoundOperator.from_recipe(recipe().operators[2])


def test_what_there_is() -> None:
    assert embeddings.ops is ops
    assert {"image_decode", "image_transform", "image_embedding", "normalize"} <= set(dir(ops))
    assert dir(ops.image_decode) == ["opencv", "pillow", "url"]
    assert "l2" in dir(ops.normalize)
    assert all(hasattr(getattr(ops, name.split(".")[0]), name.split(".")[1])
               for name in registry.names())  # fmt: skip
    assert "pillow" in repr(ops.image_decode)
    assert repr(ops.normalize.l2()) == "<operator normalize.l2 version 1>"


def test_unknown_names_are_attribute_errors_with_the_nearest() -> None:
    with pytest.raises(AttributeError) as caught:
        _ = ops.image_decod
    error: Any = caught.value
    assert isinstance(error, UnknownName)
    assert error.nearest[0] == "image_decode"
    with pytest.raises(UnknownName, match="did you mean 'pillow'"):
        _ = ops.image_decode.pilow
    assert not hasattr(ops, "image_sound")
    assert not hasattr(ops.normalize, "l3")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is UnknownOperator
    assert (again.name, again.detail, again.code) == (error.name, error.detail, "unknown_name")


def test_recipes_are_complete_however_they_are_written() -> None:
    written = ops.image_transform.resize_center_crop(224, 0.875, interpolation="bicubic")
    assert written.recipe == recipe(EXACT).operators[1]
    quick = ops.image_transform.resize_center_crop(224, crop_first=True)
    assert quick.recipe == recipe().operators[1]
    assert written.recipe == ops.image_transform.resize_center_crop(size=224).recipe
    assert ops.image_decode.pillow().recipe == recipe(EXACT).operators[0]
    assert ops.image_decode.pillow(512).recipe == recipe().operators[0]
    assert ops.normalize.l2().recipe == recipe().operators[3]
    assert ops.image_transform.resize_center_crop(256).recipe != written.recipe


def test_arguments_that_an_operator_does_not_take() -> None:
    for wrong in ((1,), ()):
        with pytest.raises(RecipeError, match=r"normalize\.l2 does not take"):
            ops.normalize.l2(*wrong, **({} if wrong else {"p": 3}))
    with pytest.raises(RecipeError, match="text, a finite number"):
        ops.image_decode.pillow(object())
    with pytest.raises(RecipeError, match="lacks antialias"):
        registry.build(Operator.of("image_transform.squash", 1, {"size": 8, "interpolation": "x"}))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("image_transform.resize_center_crop", {"crop_pct": "0.875"}),
        ("image_transform.resize_center_crop", {"size": 10**400}),
        ("image_transform.five_crop", {"crop_pct": None}),
        ("image_embedding.timm", {"mean": 0.5}),
        ("image_embedding.timm", {"mean": "xyz"}),
        ("image_embedding.timm", {"weights_sha256": 7}),
    ],
)
def test_values_that_a_constructor_cannot_use(name: str, parameters: dict[str, Any]) -> None:
    known = {one.name: one for one in (*recipe(EXACT), ops.image_transform.five_crop().recipe)}
    whole = dict(known[name].parameters)
    with pytest.raises(RecipeError, match=next(iter(parameters))):
        registry.build(Operator.of(name, 1, {**whole, **parameters}))


def test_wrong_arguments_are_recipe_errors_where_they_are_written() -> None:
    with pytest.raises(RecipeError, match="size must be a whole number"):
        ops.image_transform.resize_center_crop(10**400)
    with pytest.raises(RecipeError, match="crop_pct must be a number"):
        ops.image_transform.five_crop(crop_pct="0.875")


def test_one_meaning_has_one_recipe() -> None:
    crop, pillow = recipe(EXACT).operators[1], recipe(EXACT).operators[0]
    for operator, extra in ((crop, {"crop_first": False}), (pillow, {"draft_short_side": None})):
        longer = Operator.of(operator.name, 1, {**dict(operator.parameters), **extra})
        with pytest.raises(RecipeError, match=f"leave out .* default: {next(iter(extra))}"):
            registry.build(longer)
    for one in (*recipe(), *recipe(EXACT)):
        registry.build(one)


def test_local_parameters_and_recipes_keep_apart() -> None:
    with pytest.raises(RecipeError, match="what is not local: size"):
        registry.build(ops.image_transform.squash(8).recipe, {"size": 16})
    whitening = Operator.of("normalize.pca_whitening", 1, {"sha256": "0" * 64, "path": "x"})
    with pytest.raises(RecipeError, match="leave out what is local: path"):
        registry.build(whitening)


def test_numbers_of_numpy_are_numbers() -> None:
    plain = ops.image_transform.resize_center_crop(224, 0.5, crop_first=True)
    numpys = ops.image_transform.resize_center_crop(
        np.int64(224), crop_pct=np.float32(0.5), crop_first=np.bool_(True)
    )
    assert numpys.recipe == plain.recipe
    assert ops.image_transform.five_crop(np.uint8(32)).recipe.to_dict()["parameters"]["size"] == 32


def test_a_model_is_loaded_at_first_use_once_and_shared() -> None:
    pixels = np.zeros((3, 224, 224), np.uint8)
    operators = [timm_operator() for _ in range(4)]
    barrier = threading.Barrier(4)

    def use(operator: BoundOperator) -> Any:
        barrier.wait(30)
        return operator(pixels)

    with ThreadPoolExecutor(4) as pool:
        vectors = list(pool.map(use, operators))
    assert len({id(operator.implementation) for operator in operators}) == 1
    assert all(np.abs(vector - vectors[0]).max() <= 1e-5 for vector in vectors)
    assert vectors[0].shape == (1280,)


def test_batches_of_a_model() -> None:
    operator = timm_operator()
    assert operator.has_batches
    rng = np.random.default_rng(0)
    views = rng.integers(0, 256, (3, 3, 224, 224), np.uint8)
    vectors = operator.batch([views[0], views[1:]])
    assert np.shape(vectors) == (2, 1280)
    alone = [operator(view) for view in views]
    assert np.abs(vectors[0] - alone[0]).max() <= 1e-5
    assert np.abs(vectors[1] - (alone[1] + alone[2]) / 2).max() <= 1e-5
    with pytest.raises(InputError, match="takes one value"):
        operator(views[0], views[1])


def test_row_by_row_where_there_are_no_batches() -> None:
    operator = ops.image_decode.pillow()
    assert not operator.has_batches
    files = [encode(scene(), "png"), encode(scene(20, 20), "png")]
    assert [image.size for image in operator.batch(files)] == [(64, 48), (20, 20)]
    assert difference(operator(files[0]), scene()) == 0


def test_operators_survive_pickling() -> None:
    for operator in (ops.image_transform.squash(64), timm_operator()):
        again = pickle.loads(pickle.dumps(operator))
        assert again.recipe == operator.recipe
    assert again.batch([np.zeros((3, 224, 224), np.uint8)]).shape == (1, 1280)


def test_tasks_survive_copying_and_pickling() -> None:
    for again in (
        copy.copy(ops.normalize),
        copy.deepcopy(ops.normalize),
        pickle.loads(pickle.dumps(ops.normalize)),
    ):
        assert again.l2().recipe == ops.normalize.l2().recipe
    assert not hasattr(ops.normalize, "_l2")
    assert copy.deepcopy(ops.normalize.l2).name == "normalize.l2"


def test_describing_operators_loads_no_torch() -> None:
    code = (
        "import sys; from embeddings import ops, Pipeline; "
        "p = Pipeline.input('path').map('path', 'image', ops.image_decode.pillow())"
        ".map('image', 'pixels', ops.image_transform.five_crop())"
        ".map('pixels', 'vector', ops.image_embedding.timm('efficientnet-lite0'))"
        ".map('vector', 'vector', ops.normalize.l2()).output('vector'); "
        "q = Pipeline.input('path').map('path', 'image', ops.image_decode.url(fetch=len))"
        ".map('image', 'labels', ops.image_classification.timm()).output('labels'); "
        "q.fingerprint; q.explain(); repr(p); "
        "print(sorted({'torch', 'timm', 'cv2', 'openvino'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


# Other packages' operators, as installed distributions.

MODULE = """
class Reverse:
    light = True
    def __init__(self, times=1):
        self.times = times
    def __call__(self, vectors):
        return vectors[:, ::-1] * self.times

class Newer(Reverse):
    pass

class Words:
    local = frozenset({"say"})
    @classmethod
    def canonical(cls, model, say=None):
        return {"digest": model * 2, "say": say}
    def __init__(self, digest, say=None):
        self.digest, self.say = digest, say
    def __call__(self, value):
        return f"{self.digest} {value} {self.say}"

number = 7

class Net:
    # A model, and what is to compute it.
    local = ("runtime", "device")
    def __init__(self, digest, sizes=None, runtime="auto", device="cpu"):
        self.digest, self.sizes, self.way = digest, sizes, (runtime, device)
    @classmethod
    def canonical(cls, model, sizes=None):
        parameters = {"digest": model * 2}
        return parameters if sizes is None else {**parameters, "sizes": sizes}
    def batch(self, values):
        return [self.way] * len(values)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Write a distribution with a module and entry points, and put it on the path."""
    modules = []

    def write(distribution: str, module: str, source: str, points: dict[str, str]) -> None:
        folder = tmp_path / distribution
        info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        )
        lines = [f"{name} = {value}" for name, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{registry.GROUP}]", *lines, ""]))
        (folder / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(folder))
        modules.append(module)

    yield write
    for module in modules:
        sys.modules.pop(module, None)


def test_operators_of_another_package(install: Callable[..., None]) -> None:
    points = {
        "normalize.reverse": "reversing:Reverse",
        "normalize.reverse@2": "reversing:Newer",
        "text.words": "reversing:Words",
        "nonsense": "reversing:Reverse",
        "normalize.l2": "reversing:Reverse",
        "normalize.l2@7": "reversing:Reverse",
    }
    install("reversing-operators", "reversing", MODULE, points)
    assert "text" in dir(ops)
    assert "reverse" in dir(ops.normalize)
    assert "reversing" not in sys.modules  # only when it is asked for
    operator = ops.normalize.reverse(2)
    assert operator.version == 2
    assert type(operator.implementation).__name__ == "Newer"
    assert operator(np.array([1, 2], np.float32)).tolist() == [4, 2]
    old = BoundOperator.from_recipe(Operator.of("normalize.reverse", 1, {"times": 1}))
    assert type(old.implementation).__name__ == "Reverse"
    words = ops.text.words("ab", say="hey")
    assert words("x") == "abab x hey"
    assert words.recipe == Operator.of("text.words", 1, {"digest": "abab"})
    # A built-in name stays what it is.
    assert type(ops.normalize.l2().implementation).__module__ == "embeddings.operators.normalize"
    with pytest.raises(UnknownName):
        BoundOperator.from_recipe(Operator.of("normalize.l2", 7))


def test_a_class_with_canonical_has_local_parameters_past_it(install: Callable[..., None]) -> None:
    install("net-operators", "nets", MODULE, {"image_embedding.net": "nets:Net"})
    net = ops.image_embedding.net
    plain, torch = net("ab"), net("ab", runtime="torch")
    assert plain.recipe == torch.recipe == Operator.of("image_embedding.net", 1, {"digest": "abab"})
    assert (plain(0), torch(0)) == (("auto", "cpu"), ("torch", "cpu"))
    again = pickle.loads(pickle.dumps(torch))
    assert again(0) == ("torch", "cpu")
    # Equal ones are shared, others are not, and neither is what cannot be compared.
    shared = [net("ab", runtime="torch"), net("ab", runtime="torch", device="cuda"), plain, again]
    same = [torch.implementation is one.implementation for one in shared]
    assert same == [True, False, False, True]
    alone = [net("ab", device=object()) for _ in range(2)]
    assert alone[0].implementation is not alone[1].implementation
    local = {"image_embedding.net": {"device": "cuda"}}
    graph = Pipeline.input("x").map("x", "y", torch).output("y")
    assert "runtime" not in str(graph.recipe)
    assert Pipeline.from_recipe(graph.recipe, local)(0) == ("auto", "cuda")
    with pytest.raises(RecipeError, match=r"image_embedding\.net .*run_time"):
        net("ab", run_time="torch")
    assert dict(net("ab", sizes=[np.int16(1), 2]).recipe.parameters)["sizes"] == (1, 2)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise RuntimeError('no licence')", "no licence"),
        ("import surely_not_installed", "surely_not_installed"),
        ("def broken(:", "SyntaxError"),
        ("", "Reverse"),
        ("Reverse = 7", "is no class"),
    ],
)
def test_a_broken_package_is_named_when_it_is_asked_for(
    install: Callable[..., None], source: str, words: str
) -> None:
    install("broken-operators", "brokenness", source, {"normalize.broken": "brokenness:Reverse"})
    assert "broken" in dir(ops.normalize)
    assert ops.normalize.l2().name == "normalize.l2"
    with pytest.raises(OperatorUnavailable) as caught:
        ops.normalize.broken()
    assert caught.value.code == "operator_unavailable"
    assert "broken-operators" in caught.value.detail
    assert words in caught.value.detail


def test_two_packages_that_claim_one_name(install: Callable[..., None]) -> None:
    for name in ("first", "second"):
        install(f"{name}-operators", name, MODULE, {"normalize.twice": f"{name}:Reverse"})
    with pytest.raises(EmbeddingsError, match="second-operators and first-operators"):
        ops.normalize.twice()
