"""Every runtime gives the same vectors; the quickest one is found once, and only among those."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embeddings import pipeline
from embeddings.errors import RuntimeUnavailable, UnknownName
from embeddings.models.cards import model_card
from embeddings.operators.embed import TimmEmbedding
from embeddings.pipelines import ImagePipeline
from embeddings.runtimes import cache, selection
from embeddings.runtimes.loader import load_network
from embeddings.runtimes.spec import FeatureSpec
from harness.installation import ROOT
from tests.embeddings.conftest import EXACT

SHARED = Path(os.environ["EMBEDDINGS_CACHE"])  # what the tests have converted before
CARD = model_card("efficientnet-lite0")
assert CARD.sha256 is not None
SPEC = FeatureSpec(CARD.architecture, CARD.sha256, CARD.mean, CARD.std, "features", "avg", 224, 224)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMBEDDINGS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements of two pictures, once."""
    pixels = selection.check_pixels(224, 224)[:2]
    monkeypatch.setattr(selection, "check_pixels", lambda _height, _width: pixels)
    monkeypatch.setattr(selection, "_ROUNDS", 1)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_runtimes_agree_with_torch(runtime: str, exact: ImagePipeline, demo: list[Path]) -> None:
    other = pipeline(EXACT, runtime=runtime)
    assert (other.runtime, other.precision, other.device) == (runtime, "float32", "cpu")
    assert other.fingerprint == exact.fingerprint  # recorded beside it, never in it
    some = demo[::4]
    cosines = (other(some) * exact(some)).sum(axis=1)
    assert cosines.mean() >= selection.MIN_MEAN_COSINE
    assert cosines.min() >= 0.9999


def test_bfloat16_agrees_where_the_processor_has_it(exact: ImagePipeline, demo: list[Path]) -> None:
    load_network(SPEC, "openvino")  # which keeps OpenVINO from telling its makers
    import openvino

    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(RuntimeUnavailable, match="no bfloat16"):
            pipeline(EXACT, runtime="openvino", precision="bfloat16")
        return
    rough = pipeline(EXACT, runtime="openvino", precision="bfloat16")
    cosines = (rough(demo[::4]) * exact(demo[::4])).sum(axis=1)
    assert cosines.mean() >= selection.MIN_MEAN_COSINE
    assert cosines.min() >= selection.MIN_COSINE


@pytest.mark.parametrize("runtime", ["torch", "openvino", "onnxruntime"])
def test_any_batch_size_and_caller_gives_the_same_vectors(
    runtime: str, exact: ImagePipeline, demo: list[Path]
) -> None:
    one = pipeline(EXACT, runtime=runtime)
    whole = one(demo[:13])
    for workers in (1, 3):
        streamed = np.stack(list(one.stream(demo[:13], workers=workers)))
        assert np.abs(streamed - whole).max() <= 1e-5
    for path, vector in zip(demo[:5], whole, strict=False):
        assert np.abs(one(path) - vector).max() <= 1e-5


def test_auto_measures_once_and_takes_what_agrees(own_cache: Path) -> None:
    asked: list[tuple[str, str]] = []

    def load(runtime: str, precision: str) -> object:
        asked.append((runtime, precision))
        return load_network(SPEC, runtime, precision)

    chosen = selection.choose(SPEC, load)  # type: ignore[arg-type]
    (kept,) = own_cache.glob("measured-*.json")
    measured = [selection.Measured(**one) for one in json.loads(kept.read_text())]
    assert measured[0].runtime == "torch"
    assert measured[0].precision == "float32"
    assert {"torch", "openvino"} <= {one.runtime for one in measured}
    quickest = min((one for one in measured if one.agrees), key=lambda one: one.milliseconds)
    assert chosen == (quickest.runtime, quickest.precision)
    asked.clear()
    assert selection.choose(SPEC, load) == chosen  # type: ignore[arg-type]
    assert not asked


def test_who_measures_ends_afterwards(own_cache: Path, demo: list[Path]) -> None:
    """A process without torch stays without, though measuring and converting need it."""
    program = (
        "import sys\n"
        "from embeddings import pipeline\n"
        f"embed = pipeline({EXACT!r})\n"
        f"print('torch' in sys.modules, embed.runtime, embed({str(demo[0])!r}).shape)\n"
    )
    shutil.copytree(SHARED, own_cache, ignore=shutil.ignore_patterns("measured-*"))
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split(maxsplit=2)
    (kept,) = own_cache.glob("measured-*.json")
    assert said == [str(said[1] == "torch"), said[1], "(1280,)\n"]
    assert said[1] in {one["runtime"] for one in json.loads(kept.read_text())}


@pytest.mark.usefixtures("quick")
def test_what_does_not_agree_is_never_taken(own_cache: Path) -> None:
    assert selection.choose(SPEC, lambda *way: load_network(SPEC, *way))
    (kept,) = own_cache.glob("measured-*.json")
    measured = [selection.Measured(**one) for one in json.loads(kept.read_text())]
    wrong = [
        replace(one, milliseconds=0.001, least_cosine=0.9) if one.runtime != "torch" else one
        for one in measured
    ]
    kept.write_text(json.dumps([asdict(one) for one in wrong]))
    assert selection.choose(SPEC, lambda *way: load_network(SPEC, *way)) == ("torch", "float32")


@pytest.mark.usefixtures("quick")
def test_a_measurement_that_cannot_be_read_is_made_again(own_cache: Path) -> None:
    def load(*way: str) -> object:
        return load_network(SPEC, *way)

    chosen = selection.choose(SPEC, load)  # type: ignore[arg-type]
    (kept,) = own_cache.glob("measured-*.json")
    of_another_version = asdict(selection.Measured("openvino", "int4", 1.0, 1.0, 1.0))
    of_nobody = asdict(selection.Measured("torch", "float32", 1.0, 1.0, 1.0)) | {
        "milliseconds": "1"
    }
    damages: tuple[Any, ...] = (
        [1],
        [{"runtime": "torch"}],
        [of_another_version],
        [of_nobody],
        {},
        None,
    )
    for damage in map(json.dumps, damages):
        kept.write_text(damage)
        assert selection.choose(SPEC, load)[0] in ("torch", "openvino", "onnxruntime")  # type: ignore[arg-type]
        assert len(json.loads(kept.read_text())) >= 2
    assert chosen


def test_a_converted_model_is_kept_and_needs_no_torch(own_cache: Path, demo: list[Path]) -> None:
    """Made anew where the files are damaged; read without torch from then on."""
    program = (
        "import sys\n"
        "from embeddings import pipeline\n"
        f"vector = pipeline({EXACT!r}, runtime='openvino')({str(demo[0])!r})\n"
        "print('torch' in sys.modules, 'timm' in sys.modules, vector.shape, float(vector[0]))\n"
    )

    def said() -> list[str]:
        return subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=os.environ | {"EMBEDDINGS_CACHE": str(own_cache)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split(maxsplit=2)

    load_network(SPEC, "openvino")
    shutil.copytree(SHARED, own_cache, dirs_exist_ok=True)
    for weights in own_cache.glob("openvino-*/model.bin"):
        weights.write_bytes(weights.read_bytes()[:-100])
    first, again = said(), said()
    assert first[:2] == ["True", "True"]
    assert again == ["False", "False", first[2]]
    assert not [path for path in own_cache.iterdir() if path.name.startswith(".")]


def test_a_pipeline_at_work_needs_no_cache(own_cache: Path) -> None:
    parameters: Any = TimmEmbedding.canonical("efficientnet-lite0")
    embedding = TimmEmbedding(**parameters)
    x = np.zeros((1, 3, 224, 224), np.uint8)
    before = embedding.pixels(x)
    shutil.rmtree(own_cache, ignore_errors=True)
    own_cache.write_text("no folder")
    assert np.array_equal(embedding.pixels(x), before)


def test_without_a_place_to_keep_anything(own_cache: Path) -> None:
    own_cache.write_text("no folder")
    small = replace(SPEC, height=128, width=128)
    with pytest.raises(RuntimeUnavailable, match="set EMBEDDINGS_CACHE"):
        load_network(small, "openvino")
    assert load_network(small, "auto").runtime == "torch"


def test_what_is_kept_can_be_read_where_nothing_can_be_written(own_cache: Path) -> None:
    made = cache.kept_folder("made", lambda folder: (folder / "x").touch())
    (own_cache / "made.lock").unlink()
    (own_cache / "made.lock").mkdir()  # cannot be opened, whoever we are
    assert cache.kept_folder("made", lambda _folder: pytest.fail("made again")) == made
    with pytest.raises(cache.CacheUnwritable), cache.locked("made"):
        pytest.fail("locked")


def test_what_a_killed_process_left_goes(own_cache: Path) -> None:
    own_cache.mkdir()
    (own_cache / ".made-0badcafe").mkdir()
    (own_cache / ".other-0badcafe").mkdir()
    cache.kept_folder("made", lambda folder: (folder / "x").touch())
    assert not (own_cache / ".made-0badcafe").exists()
    assert (own_cache / ".other-0badcafe").exists()


def test_a_process_forked_from_one_with_a_model_says_so() -> None:
    program = (
        "import os\n"
        "import numpy as np\n"
        "from embeddings import pipeline\n"
        "from embeddings.errors import RuntimeUnavailable\n"
        f"embed = pipeline({EXACT!r}, runtime='torch')\n"
        "picture = np.zeros((8, 8, 3), np.uint8)\n"
        "embed(picture)\n"
        "if os.fork():\n"
        "    embed(picture)\n"
        "    raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
        "for late in (lambda: embed(picture), lambda: pipeline(runtime='openvino')):\n"
        "    try:\n"
        "        late()\n"
        "    except RuntimeUnavailable as error:\n"
        "        assert 'forked' in error.detail\n"
        "    else:\n"
        "        os._exit(3)\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=120)


def test_openvino_tells_nobody() -> None:
    """The package by which it would tell its makers is not there for it."""
    program = "import sys, embeddings.runtimes.openvino_network as n; n.ov.Core()\n"
    program += "raise SystemExit(sys.modules['openvino_telemetry'] is not None)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_first_pictures_of_many_threads_do_not_wait_for_each_other() -> None:
    """OpenVINO's first look at numpy could, for ever: it is taken before there are threads."""
    program = (
        "import os, sys, threading\n"
        "import embeddings.runtimes.openvino_network as network\n"
        "sys.setswitchinterval(1e-6)\n"
        "together = threading.Barrier(8)\n"
        "def look():\n"
        "    together.wait()\n"
        "    network.ov.Type.u8.to_dtype()\n"
        "threads = [threading.Thread(target=look) for _ in range(8)]\n"
        "[one.start() for one in threads]\n"
        "[one.join() for one in threads]\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=120)


def test_words_for_what_cannot_compute_here() -> None:
    for device in ("gpu", "CPU", "cpu:0", None):
        with pytest.raises(UnknownName, match="device"):
            pipeline(EXACT, device=device)  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="openvino"):
        pipeline(EXACT, runtime="openvina")
    with pytest.raises(UnknownName, match="bfloat16"):
        pipeline(EXACT, precision="bfloat")
    with pytest.raises(RuntimeUnavailable, match="on 'cpu' here"):
        pipeline(EXACT, runtime="openvino", device="cuda")
    with pytest.raises(RuntimeUnavailable, match="not float16"):
        pipeline(EXACT, runtime="openvino", precision="float16")
    with pytest.raises(RuntimeUnavailable, match="not bfloat16"):
        pipeline(EXACT, runtime="onnxruntime", precision="bfloat16")
    with pytest.raises(RuntimeUnavailable, match="float16 needs"):
        pipeline(EXACT, runtime="torch", precision="float16")


def test_a_cuda_device_that_is_not_there_is_said_so() -> None:
    import torch

    if torch.cuda.is_available():
        assert pipeline(EXACT, device="cuda").device == "cuda"
        return
    with pytest.raises(RuntimeUnavailable, match="no CUDA device"):
        pipeline(EXACT, device="cuda")


def test_the_cache_is_its_owners_alone(own_cache: Path) -> None:
    assert cache.folder() == own_cache
    assert own_cache.stat().st_mode & 0o077 == 0


def test_pipelines_of_one_model_share_it() -> None:
    parameters: dict[str, Any] = TimmEmbedding.canonical("efficientnet-lite0")
    one, two = (TimmEmbedding(**parameters, runtime="torch") for _ in range(2))
    assert one.network(224, 224) is two.network(224, 224)
    assert one.network(256, 256) is not two.network(224, 224)
