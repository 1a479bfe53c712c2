"""Which runtime and precision: measured once per machine, kept, and only where vectors agree."""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache as once
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings import thread_count
from embeddings.errors import EmbeddingsError, RecipeError, RuntimeUnavailable
from embeddings.runtimes import cache
from embeddings.runtimes.agreement import Agreement, agreement, check_pixels, resaved
from embeddings.runtimes.spec import PRECISIONS, RUNTIMES, FeatureSpec, Network

# Of what is measured and how. What an older version has kept is not read: it is measured again.
_VERSION = 2
_PICTURES_AT_ONCE = 16  # computed by one network before it is another one's turn
# The flags of processors that compute in bfloat16 (Linux's names; x86 and ARM).
_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16", "svebf16"})
_NEEDS = {
    "torch": ("torch",),
    "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime", "onnx", "onnxscript"),  # to run, and to export beforehand
}
_PACKAGES = ("torch", "timm", "openvino", "onnxruntime")
_Load = Callable[[str, str], Network]


@dataclass(frozen=True)
class Measured(Agreement):
    """One way to compute: how it agrees with torch float32, and milliseconds a picture."""

    runtime: str
    precision: str
    milliseconds: float


def choose(spec: FeatureSpec, load: _Load, precision: str | None = None) -> tuple[str, str]:
    """Return the fastest runtime and precision for `spec` on this machine's processor.

    `load(runtime, precision)` returns a network. With `precision`, one of `precisions()`, only the
    runtime is chosen. Measurements are cached, and processes that start together measure once; if
    the cache cannot be written, each process measures. Raises `RuntimeUnavailable` when no runtime
    agrees in that precision.
    """
    measured = _kept(_name(spec), lambda: measure(spec, load, candidates()))
    agreeing = [one for one in measured if one.agrees and precision in (None, one.precision)]
    if not agreeing:
        raise RuntimeUnavailable(
            f"No runtime here computes {spec.architecture} in {precision} so that its vectors "
            "agree with those of float32; runtime 'torch' computes it all the same."
        )
    best = min(agreeing, key=lambda one: one.milliseconds)
    return best.runtime, best.precision


def choose_for_device(spec: FeatureSpec, load: _Load, device: str) -> str:
    """The precision in which torch computes `spec` on a CUDA device: bfloat16 if it agrees there,
    else float32.

    `device` is the name of its kind, such as "NVIDIA H200"; `load(runtime, precision)` gives a
    network on it. Measured and kept as `choose` does.
    """
    # The reference is float32 of the device itself. Its convolutions may round to TF32, which is
    # eight times as fine as bfloat16.
    measured = _kept(_name(spec, device), lambda: measure(spec, load, [("torch", "bfloat16")]))
    agreeing = {one.precision for one in measured if one.agrees}
    return "bfloat16" if "bfloat16" in agreeing else "float32"


def is_measured(spec: FeatureSpec) -> bool:
    """Whether `choose` has only to read."""
    return _read(_name(spec)) is not None


def precisions() -> tuple[str, ...]:
    """The precisions that this processor has instructions for, of those that are measured.

    Without instructions bfloat16 is emulated: right, and thirty times slower.
    """
    has_bfloat16 = not _BFLOAT16.isdisjoint(_processor().split())
    return ("float32", "bfloat16") if has_bfloat16 else ("float32",)


def _name(spec: FeatureSpec, device: str = "") -> str:
    threads = "cuda" if device else thread_count.threads()
    return f"measured-{_VERSION}-{spec.digest[:32]}-{threads}-{_machine(device)}"


def _kept(name: str, measure_all: Callable[[], list[Measured]]) -> list[Measured]:
    """Return the cached measurements of that name; measure now if there are none."""
    measured = _read(name)
    if measured is not None:
        return measured
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(cache.locked(name))
        except cache.CacheUnwritable:
            return measure_all()
        measured = _read(name)  # another process may have been first
        if measured is None:
            measured = measure_all()
            cache.write_json(name, [asdict(one) for one in measured])
    return measured


def measure(spec: FeatureSpec, load: _Load, ways: Iterable[tuple[str, str]]) -> list[Measured]:
    """Measure torch in float32, then each of `ways` (runtime and precision) that works here.

    As many callers as there are threads compute two pictures at a time. The networks take turns, so
    that other load on the machine affects all equally. Raises `RecipeError` when torch's vectors
    have NaN or infinity.
    """
    pixels = check_pixels(spec.height, spec.width)
    networks = [load("torch", "float32")]
    for runtime_name, precision in ways:
        try:
            networks.append(load(runtime_name, precision))
        except EmbeddingsError:
            continue
    features: list[list[NDArray[np.float32]]] = [[] for _ in networks]
    times: list[list[float]] = [[] for _ in networks]
    with ThreadPoolExecutor(thread_count.threads()) as callers:

        def compute(network: Network, some: NDArray[np.uint8]) -> NDArray[np.float32]:
            pairs = [some[first : first + 2] for first in range(0, len(some), 2)]
            return np.concatenate(list(callers.map(network, pairs)))

        for network in networks:
            network(pixels[:2])  # what is made with the first pictures is not measured
        for start in range(0, len(pixels), _PICTURES_AT_ONCE):
            some = pixels[start : start + _PICTURES_AT_ONCE]
            for network, parts, durations in zip(networks, features, times, strict=True):
                started = time.perf_counter()
                parts.append(compute(network, some))
                durations.append((time.perf_counter() - started) * 1000 / len(some))
        of_resaved = compute(networks[0], resaved(pixels))
    vectors = [np.concatenate(parts) for parts in features]
    if not np.isfinite(vectors[0]).all():
        raise RecipeError(f"{spec.architecture} gives vectors with NaN or infinity in this recipe.")
    return [
        Measured(
            **asdict(agreement(vectors[0], of_resaved, own, spec.head)),
            runtime=network.runtime,
            precision=network.precision,
            milliseconds=statistics.median(durations),
        )
        for network, own, durations in zip(networks, vectors, times, strict=True)
    ]


def candidates() -> Iterator[tuple[str, str]]:
    """Yield each installed runtime with each precision of the processor, except the reference."""
    both = precisions()
    for runtime_name, supported in (
        ("torch", both[1:]),  # in float32 it is the reference
        ("openvino", both),
        ("onnxruntime", ("float32",)),
    ):
        if all(map(importlib.util.find_spec, _NEEDS[runtime_name])):
            for precision in supported:
                yield runtime_name, precision


def _read(name: str) -> list[Measured] | None:
    """Return the cached measurements; None when there are none, or none that can be used."""
    try:
        measured = [Measured(**one) for one in cache.read_json(name)]
        known = all(one.runtime in RUNTIMES and one.precision in PRECISIONS for one in measured)
        usable = any(one.agrees and one.milliseconds > 0 for one in measured)
    except TypeError:
        return None
    return measured if known and usable else None


@once
def _machine(device: str) -> str:
    """Sixteen hex digits that change with the processor, the CUDA device and the packages."""
    facts = [platform.machine(), _processor(), device]
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
    prefixes = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(prefixes)}))
