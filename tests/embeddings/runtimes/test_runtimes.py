"""Every runtime gives the same vectors; the quickest one is found once, and only among those."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from embeddings import pipeline
from embeddings.errors import RuntimeUnavailable, UnknownName
from embeddings.models.cards import model_card
from embeddings.operators.embed import TimmEmbedding
from embeddings.pipelines import ImagePipeline
from embeddings.runtimes import agreement, cache, loader, selection, torch_network
from embeddings.runtimes.loader import load_network
from embeddings.runtimes.spec import FeatureSpec, Network
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
    """Measurements of two pictures, without bfloat16, which may be emulated here."""
    pixels = agreement.check_pixels(224, 224)[:2]
    monkeypatch.setattr(selection, "check_pixels", lambda _height, _width: pixels)
    monkeypatch.setattr(selection, "precisions", lambda: ("float32",))


def measured(
    runtime: str, precision: str, milliseconds: float, mean_share: float = 0.2, p99_share: float = 0
) -> selection.Measured:
    return selection.Measured(mean_share, p99_share, runtime, precision, milliseconds)


REFERENCE = measured("torch", "float32", 10, 0)


@pytest.fixture
def both_precisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor with instructions for bfloat16."""
    monkeypatch.setattr(selection, "precisions", lambda: ("float32", "bfloat16"))


@pytest.fixture
def measurements(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> list[selection.Measured]:
    """The results that a measurement returns here, to be filled by the test."""
    results: list[selection.Measured] = []
    monkeypatch.setattr(selection, "measure", lambda _spec, _load, _candidates: results)
    return results


def never(*way: str) -> Network:
    pytest.fail(f"{way} was loaded")


@dataclass
class CoarseNetwork:
    """The pixels as features, in steps of so many levels."""

    runtime: str
    precision: str
    levels: int = 1
    device: str = "cpu"

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return (pixels // self.levels * self.levels).reshape(len(pixels), -1).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_runtimes_agree_with_torch(runtime: str, exact: ImagePipeline, demo: list[Path]) -> None:
    other = pipeline(EXACT, runtime=runtime)
    assert (other.runtime, other.precision, other.device) == (runtime, "float32", "cpu")
    assert other.fingerprint == exact.fingerprint  # recorded beside it, never in it
    some = demo[::4]
    cosines = (other(some) * exact(some)).sum(axis=1)
    assert cosines.min() >= 0.9999


def test_openvino_refuses_what_it_would_compute_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without instructions for bfloat16 it computes in float32, and would say bfloat16."""
    load_network(SPEC, "openvino")
    import openvino

    from embeddings.runtimes import openvino_network

    class Core:
        def get_property(self, _device: str, _name: str) -> list[str]:
            return ["FP32", "INT8"]

    monkeypatch.setattr(openvino, "Core", Core)
    with pytest.raises(RuntimeUnavailable, match="no bfloat16"):
        openvino_network.OpenVinoNetwork(SPEC, "bfloat16")


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


@pytest.mark.slow
def test_auto_measures_once_and_takes_what_agrees(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "precisions", lambda: ("float32",))
    loads: list[tuple[str, str]] = []

    def load(runtime: str, precision: str) -> Network:
        loads.append((runtime, precision))
        return load_network(SPEC, runtime, precision)

    chosen = selection.choose(SPEC, load)
    (file,) = own_cache.glob("measured-*.json")
    ways = [selection.Measured(**one) for one in json.loads(file.read_text())]
    assert (ways[0].runtime, ways[0].precision) == ("torch", "float32")
    assert {"torch", "openvino"} <= {one.runtime for one in ways}
    assert all(one.agrees and one.mean_share < 0.01 for one in ways)  # float32 all of them
    quickest = min(ways, key=lambda one: one.milliseconds)
    assert chosen == (quickest.runtime, quickest.precision)
    loads.clear()
    assert selection.choose(SPEC, load) == chosen
    assert not loads


def test_the_fastest_that_agrees(measurements: list[selection.Measured]) -> None:
    measurements += [
        REFERENCE,
        measured("torch", "bfloat16", 5),
        measured("openvino", "float32", 4, 0),
        measured("openvino", "bfloat16", 2),
        measured("onnxruntime", "float32", 1, 0.51),  # wrong, were it so
    ]
    assert selection.choose(SPEC, never) == ("openvino", "bfloat16")
    assert selection.choose(SPEC, never, "bfloat16") == ("openvino", "bfloat16")
    assert selection.choose(SPEC, never, "float32") == ("openvino", "float32")


@pytest.mark.parametrize("shares", [(0.51, 0.9), (0.2, 1.01), (float("inf"), float("inf"))])
def test_what_does_not_agree_is_never_taken(
    shares: tuple[float, float], measurements: list[selection.Measured]
) -> None:
    measurements += [REFERENCE, measured("openvino", "bfloat16", 1, *shares)]
    for _ in range(2):  # measured, and read
        assert selection.choose(SPEC, never) == ("torch", "float32")
        with pytest.raises(RuntimeUnavailable, match="in bfloat16"):
            selection.choose(SPEC, never, "bfloat16")


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("processor", [("float32",), ("float32", "bfloat16")])
def test_each_precision_of_the_processor_is_measured(
    processor: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "precisions", lambda: processor)
    levels = {("torch", "bfloat16"): 64, ("openvino", "bfloat16"): 2}

    def load(runtime: str, precision: str) -> Network:
        return CoarseNetwork(runtime, precision, levels.get((runtime, precision), 1))

    ways = selection.measure(replace(SPEC, height=32, width=32), load, selection.candidates())
    assert (ways[0].runtime, ways[0].precision) == ("torch", "float32")
    assert {one.precision for one in ways} == set(processor)
    bfloat16 = {one.runtime: one.agrees for one in ways if one.precision == "bfloat16"}
    assert bfloat16 == ({"torch": False, "openvino": True} if "bfloat16" in processor else {})
    assert all(one.milliseconds > 0 for one in ways)


@pytest.mark.parametrize(
    ("facts", "has"),
    [
        ("flags\t: fpu avx512f avx512_bf16", True),
        ("flags\t: fpu avx512f amx_bf16 amx_tile", True),
        ("Features\t: fp asimd bf16", True),
        ("Features\t: fp asimd sve svebf16", True),
        ("flags\t: fpu avx2 avx512f", False),
        ("model name\t: bf160", False),
        ("", False),
    ],
)
def test_what_a_processor_has_instructions_for(
    facts: str, has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "_processor", lambda: facts)
    assert selection.precisions() == (("float32", "bfloat16") if has else ("float32",))


def test_a_machine_that_measured_otherwise_measures_again_once(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[FeatureSpec] = []

    def measure(spec: FeatureSpec, _load: Any, _candidates: Any) -> list[selection.Measured]:
        counted.append(spec)
        return [REFERENCE]

    monkeypatch.setattr(selection, "measure", measure)
    own_cache.mkdir()
    older = "measured-" + selection._name(SPEC).removeprefix(f"measured-{selection._VERSION}-")
    cache.write_json(older, [asdict(measured("openvino", "float32", 1))])
    for _ in range(2):
        assert selection.choose(SPEC, never) == ("torch", "float32")
    assert len(counted) == 1


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Which networks are loaded, one after the other; none of them computes anything."""
    ways: list[tuple[str, str, str]] = []

    def load(_spec: FeatureSpec, runtime: str, precision: str, device: str) -> Network:
        ways.append((runtime, precision, device))
        return CoarseNetwork(runtime, precision, device=device)

    monkeypatch.setattr(loader, "_networks", {})
    monkeypatch.setattr(loader, "make_network", load)
    return ways


@pytest.mark.usefixtures("both_precisions")
def test_a_precision_that_is_asked_for_takes_the_fastest_runtime_that_has_it(
    measurements: list[selection.Measured], loaded: list[tuple[str, str, str]]
) -> None:
    measurements += [
        REFERENCE,
        measured("torch", "bfloat16", 5),
        measured("openvino", "float32", 1, 0),
        measured("openvino", "bfloat16", 2),
    ]
    load_network(SPEC, "torch")  # so that no other process is asked to measure
    for precision in ("bfloat16", "float32"):
        network = load_network(SPEC, precision=precision)
        assert (network.runtime, network.precision) == ("openvino", precision)
    assert load_network(SPEC) is network
    assert len(loaded) == 3


def test_where_bfloat16_is_emulated_torch_has_it_for_who_asks(
    monkeypatch: pytest.MonkeyPatch, loaded: list[tuple[str, str, str]]
) -> None:
    monkeypatch.setattr(selection, "precisions", lambda: ("float32",))
    monkeypatch.setattr(selection, "choose", never)
    assert load_network(SPEC, precision="bfloat16").runtime == "torch"
    assert loaded == [("torch", "bfloat16", "cpu")]


@pytest.mark.parametrize(("mean_share", "expected"), [(0.2, "bfloat16"), (0.6, "float32")])
@pytest.mark.parametrize("runtime", ["auto", "torch"])
def test_bfloat16_of_a_cuda_device_is_taken_where_it_agrees(
    runtime: str,
    mean_share: float,
    expected: str,
    measurements: list[selection.Measured],
    loaded: list[tuple[str, str, str]],
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch_network, "device_name", lambda _device: "NVIDIA H200")
    measurements += [REFERENCE, measured("torch", "bfloat16", 20, mean_share)]
    network = load_network(SPEC, runtime, device="cuda")
    assert (network.runtime, network.precision, network.device) == ("torch", expected, "cuda")
    assert loaded == [("torch", expected, "cuda")]
    # Only for that kind of device.
    monkeypatch.setattr(torch_network, "device_name", lambda _device: "NVIDIA T4")
    measurements[:] = [REFERENCE]
    assert load_network(SPEC, runtime, device="cuda:1").precision == "float32"
    assert len(list(own_cache.glob("measured-*.json"))) == 2
    # A precision that the caller names is used.
    for precision in ("bfloat16", "float16"):
        assert load_network(SPEC, runtime, precision, "cuda:1").precision == precision


@pytest.mark.long
def test_who_measures_ends_afterwards(own_cache: Path, demo: list[Path]) -> None:
    """A process without torch does not import it, although measuring and converting need it."""
    program = (
        "import sys\n"
        "from embeddings import pipeline\n"
        f"embed = pipeline({EXACT!r})\n"
        f"print('torch' in sys.modules, embed.runtime, embed({str(demo[0])!r}).shape)\n"
    )
    shutil.copytree(SHARED, own_cache, ignore=shutil.ignore_patterns("measured-*"))
    output = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split(maxsplit=2)
    (file,) = own_cache.glob("measured-*.json")
    assert output == [str(output[1] == "torch"), output[1], "(1280,)\n"]
    assert output[1] in {one["runtime"] for one in json.loads(file.read_text())}


@pytest.mark.usefixtures("quick")
def test_a_measurement_that_cannot_be_read_is_made_again(own_cache: Path) -> None:
    def load(*way: str) -> Network:
        return load_network(SPEC, *way)

    chosen = selection.choose(SPEC, load)
    (file,) = own_cache.glob("measured-*.json")
    of_another_version = asdict(measured("openvino", "int4", 1))
    of_nobody = asdict(REFERENCE) | {"milliseconds": "1"}
    damages: tuple[Any, ...] = (
        [1],
        [{"runtime": "torch"}],
        [of_another_version],
        [of_nobody],
        {},
        None,
    )
    for damage in map(json.dumps, damages):
        file.write_text(damage)
        assert selection.choose(SPEC, load)[0] in ("torch", "openvino", "onnxruntime")
        assert len(json.loads(file.read_text())) >= 2
    assert chosen


def computed_elsewhere(cache_folder: Path, picture: Path) -> list[str]:
    """Compute a vector in a new process: whether it loaded torch and timm, and the vector."""
    program = (
        "import sys\n"
        "from embeddings import pipeline\n"
        f"vector = pipeline({EXACT!r}, runtime='openvino')({str(picture)!r})\n"
        "print('torch' in sys.modules, 'timm' in sys.modules, vector.shape, float(vector[0]))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"EMBEDDINGS_CACHE": str(cache_folder)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split(maxsplit=2)


@pytest.mark.slow
def test_the_first_process_converts_elsewhere(own_cache: Path, demo: list[Path]) -> None:
    """A worker with torch in its memory would keep it for ever."""
    assert computed_elsewhere(own_cache, demo[0])[:2] == ["False", "False"]
    assert list(own_cache.glob("openvino-*/model.bin"))


@pytest.mark.long
def test_a_converted_model_is_kept_and_needs_no_torch(own_cache: Path, demo: list[Path]) -> None:
    """Made anew where the files are damaged; read without torch from then on."""

    def said() -> list[str]:
        return computed_elsewhere(own_cache, demo[0])

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
    path = cache.kept_folder("made", lambda folder: (folder / "x").touch())
    (own_cache / "made.lock").unlink()
    (own_cache / "made.lock").mkdir()  # cannot be opened, even by root
    assert cache.kept_folder("made", lambda _folder: pytest.fail("made again")) == path
    with pytest.raises(cache.CacheUnwritable), cache.locked("made"):
        pytest.fail("locked")


def test_what_a_killed_process_left_goes(own_cache: Path) -> None:
    own_cache.mkdir()
    (own_cache / ".made-0badcafe").mkdir()
    (own_cache / ".other-0badcafe").mkdir()
    cache.kept_folder("made", lambda folder: (folder / "x").touch())
    assert not (own_cache / ".made-0badcafe").exists()
    assert (own_cache / ".other-0badcafe").exists()


@pytest.mark.long
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
