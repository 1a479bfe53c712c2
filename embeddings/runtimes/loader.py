"""Load the network of a spec, once per process for each way to compute it."""

import os
import re
import sys
import threading

from embeddings.errors import RuntimeUnavailable, UnknownName
from embeddings.runtimes import selection
from embeddings.runtimes.conversion_job import convert_elsewhere
from embeddings.runtimes.measurement_job import measure_elsewhere
from embeddings.runtimes.networks import make_network
from embeddings.runtimes.spec import PRECISIONS, RUNTIMES, FeatureSpec, Network

_Way = tuple[FeatureSpec, str, str | None, str]
_networks: dict[_Way, Network] = {}
_loading = threading.RLock()
_forked = False
_others = False


def load_network(
    spec: FeatureSpec, runtime: str = "auto", precision: str | None = None, device: str = "cpu"
) -> Network:
    """The network of `spec`, shared by all who ask for the same one.

    `runtime` is one of `RUNTIMES`; "auto" takes the fastest of this machine whose vectors agree
    with torch float32 (`embeddings.runtimes.agreement`), in `precision` if that is given.
    `precision` is one of `PRECISIONS`, or None for the choice of "auto", float32 on the processor
    for other runtimes, and on a CUDA device bfloat16 if it agrees there, else float32. `device` is
    "cpu", "cuda" or "cuda:N"; only torch computes on CUDA devices.

    Raises `UnknownName`, `RuntimeUnavailable` for what is not installed or cannot compute so
    here, and what loading a model raises.
    """
    if runtime not in RUNTIMES:
        raise UnknownName("runtime", runtime, RUNTIMES)
    if precision is not None and precision not in PRECISIONS:
        raise UnknownName("precision", precision, PRECISIONS)
    if not isinstance(device, str) or re.fullmatch(r"cpu|cuda(:\d+)?", device) is None:
        raise UnknownName("device", device, ("cpu", "cuda", "cuda:0"))
    check_process()
    way = spec, runtime, precision, device
    with _loading:
        if way not in _networks:
            _networks[way] = _resolved(way)
        return _networks[way]


def check_process() -> None:
    """Raise `RuntimeUnavailable` in a process that was forked when models were loaded.

    Their threads do not survive a fork, and the first call would wait for them for ever.
    """
    if _forked:
        raise RuntimeUnavailable(
            "This process was forked from one that had loaded a model, and models do not survive "
            "that: load them after the fork, or start processes with 'spawn'."
        )


def note_model() -> None:
    """Say that this process has loaded a model that is no network of these, such as one of text."""
    global _others
    _others = True


def _after_fork() -> None:
    global _forked, _loading
    _forked = _forked or _others or bool(_networks)
    _loading = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


class _Candidates:
    """Loads networks of one spec for one device. Those that are compared and not taken go again."""

    def __init__(self, spec: FeatureSpec, device: str) -> None:
        self._spec, self._device = spec, device
        self._loaded: dict[tuple[str, str], Network] = {}

    def __call__(self, runtime: str, precision: str) -> Network:
        network = _networks.get((self._spec, runtime, precision, self._device))
        if network is None:
            network = self._loaded.get((runtime, precision))
        if network is None:
            network = make_network(self._spec, runtime, precision, self._device)
        self._loaded[runtime, precision] = network
        return network


def _resolved(way: _Way) -> Network:
    """The network of a way that is asked for for the first time."""
    spec, runtime, precision, device = way
    load = _Candidates(spec, device)
    if device != "cpu":
        if runtime not in ("auto", "torch"):
            raise RuntimeUnavailable(f"{runtime} computes on 'cpu' here, not on {device!r}.")
        runtime, precision = "torch", precision or _precision_on(spec, load, device)
    elif runtime == "auto":
        runtime, precision = _fastest(spec, load, precision)
    precision = precision or "float32"
    if "torch" not in sys.modules:
        convert_elsewhere(spec, runtime, precision)
    _networks[spec, runtime, precision, device] = network = load(runtime, precision)
    return network


def _fastest(spec: FeatureSpec, load: _Candidates, precision: str | None) -> tuple[str, str]:
    """The runtime and precision of "auto" on the processor."""
    if precision is not None and precision not in selection.precisions():
        return "torch", precision  # which emulates it, or says why not
    if "torch" not in sys.modules and not selection.is_measured(spec):
        measure_elsewhere(spec)
    return selection.choose(spec, load, precision)


def _precision_on(spec: FeatureSpec, load: _Candidates, device: str) -> str:
    """The precision on a CUDA device where none is asked for."""
    from embeddings.runtimes.torch_network import device_name

    return selection.choose_for_device(spec, load, device_name(device))
