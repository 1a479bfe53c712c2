"""Which runtime and precision: measured once per machine, kept, and only where vectors agree."""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache as once
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embeddings import thread_count as runtime
from embeddings.errors import EmbeddingsError, RecipeError
from embeddings.runtimes import cache
from embeddings.runtimes.spec import PRECISIONS, RUNTIMES, FeatureSpec, Network

# Vectors of two runtimes count as the same where their cosines with torch float32 are so high.
MIN_MEAN_COSINE = 0.9995
MIN_COSINE = 0.995
CHECK_PICTURES = Path(__file__).parent / "check_pictures"
_ROUNDS = 3
# The flags of processors that compute in bfloat16 (Linux's names; x86 and ARM).
_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16", "svebf16"})
_NEEDS = {
    "torch": ("torch",),
    "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime", "onnx", "onnxscript"),  # to run, and to export beforehand
}
_PACKAGES = ("torch", "timm", "openvino", "onnxruntime")


@dataclass(frozen=True)
class Measured:
    """One way to compute: milliseconds a picture, and cosines with torch float32."""

    runtime: str
    precision: str
    milliseconds: float
    mean_cosine: float
    least_cosine: float

    @property
    def agrees(self) -> bool:
        """Whether its vectors may stand beside those of the reference."""
        return self.mean_cosine >= MIN_MEAN_COSINE and self.least_cosine >= MIN_COSINE


def choose(spec: FeatureSpec, load: Callable[[str, str], Network]) -> tuple[str, str]:
    """The fastest runtime and precision for `spec` on this machine.

    `load(runtime, precision)` gives a network. What was measured before is read; several
    processes that start together measure once. Where nothing can be kept, each measures.
    """
    name = _name(spec)
    kept = _read(name) or _measured_once(name, spec, load)
    best = min((one for one in kept if one.agrees), key=lambda one: one.milliseconds)
    return best.runtime, best.precision


def is_measured(spec: FeatureSpec) -> bool:
    """Whether `choose` has only to read."""
    return _read(_name(spec)) is not None


def _name(spec: FeatureSpec) -> str:
    return f"measured-{spec.digest[:32]}-{runtime.threads()}-{_machine()}"


def _measured_once(
    name: str, spec: FeatureSpec, load: Callable[[str, str], Network]
) -> list[Measured]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(cache.locked(name))
        except cache.CacheUnwritable:
            return measure(spec, load)
        kept = _read(name)  # another process may have been first
        if kept is None:
            kept = measure(spec, load)
            cache.write_json(name, [asdict(one) for one in kept])
    return kept


def measure(spec: FeatureSpec, load: Callable[[str, str], Network]) -> list[Measured]:
    """Every runtime and precision that works here, torch in float32 first.

    As many callers as there are threads compute two pictures at a time, the networks in turns, so
    that what else runs hits all alike. Raises `RecipeError` for a model that gives no numbers.
    """
    pixels = check_pixels(spec.height, spec.width)
    networks = [load("torch", "float32")]
    for runtime_name, precision in _candidates():
        try:
            networks.append(load(runtime_name, precision))
        except EmbeddingsError:
            continue
    features = networks[0](pixels)
    if not np.isfinite(features).all():
        raise RecipeError(f"{spec.architecture} gives vectors with NaN or infinity in this recipe.")
    cosines = [_cosines(features, network(pixels), spec.head) for network in networks]
    times: list[list[float]] = [[] for _ in networks]
    pairs = [pixels[first : first + 2] for first in range(0, len(pixels), 2)]
    with ThreadPoolExecutor(runtime.threads()) as callers:
        for _ in range(_ROUNDS):
            for network, taken in zip(networks, times, strict=True):
                started = time.perf_counter()
                list(callers.map(network, pairs))
                taken.append((time.perf_counter() - started) * 1000 / len(pixels))
    return [
        Measured(
            network.runtime,
            network.precision,
            statistics.median(taken),
            float(cosine.mean()),
            float(cosine.min()),
        )
        for network, taken, cosine in zip(networks, times, cosines, strict=True)
    ]


@once
def check_pixels(height: int, width: int) -> NDArray[np.uint8]:
    """The check pictures, uint8 (16, 3, height, width)."""
    squares = []
    for path in sorted(CHECK_PICTURES.glob("*.jpg")):
        with Image.open(path) as picture:
            small = picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
            squares.append(np.asarray(small).transpose(2, 0, 1))
    return np.ascontiguousarray(np.stack(squares))


def _candidates() -> Iterator[tuple[str, str]]:
    # Without instructions for it, bfloat16 is emulated: right, and thirty times slower.
    both = ("float32", "bfloat16") if _BFLOAT16 & set(_processor().split()) else ("float32",)
    for runtime_name, precisions in (
        ("torch", both[1:]),
        ("openvino", both),
        ("onnxruntime", ("float32",)),
    ):
        if all(map(importlib.util.find_spec, _NEEDS[runtime_name])):
            for precision in precisions:
                yield runtime_name, precision


def _cosines(
    one: NDArray[np.float32], other: NDArray[np.float32], head: int
) -> NDArray[np.float32]:
    """The cosine of each row; where a head stands behind the features, the lesser of the two."""
    parts = np.s_[:, : one.shape[1] - head], np.s_[:, one.shape[1] - head :]
    each = [(_unit(one[part]) * _unit(other[part])).sum(axis=1) for part in parts[: 1 + bool(head)]]
    least: NDArray[np.float32] = np.min(each, axis=0)
    return least


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit


def _read(name: str) -> list[Measured] | None:
    """What was measured; None where there is nothing, or nothing that can be relied on."""
    try:
        kept = [Measured(**one) for one in cache.read_json(name)]
        known = all(one.runtime in RUNTIMES and one.precision in PRECISIONS for one in kept)
        usable = any(one.agrees and one.milliseconds > 0 for one in kept)
    except TypeError:
        return None
    return kept if known and usable else None


@once
def _machine() -> str:
    """Sixteen hex digits that change with the processor and the packages."""
    facts = [platform.machine(), _processor()]
    for package in _PACKAGES:
        try:
            facts.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            facts.append(f"no {package}")
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _processor() -> str:
    """Model and abilities of the processor: a folder may move to another machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))
