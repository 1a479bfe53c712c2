"""Load the network of a spec, once per process for each way to compute it."""

import os
import re
import sys
import threading

from embeddings.errors import RuntimeUnavailable, UnknownName
from embeddings.runtimes import selection
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
    with torch float32. `precision` is one of `PRECISIONS`, or None for the choice of "auto",
    else float32 on the processor and bfloat16 on a CUDA device. `device` is "cpu", "cuda" or
    "cuda:N"; only torch computes on CUDA devices.

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
            _networks[way] = _chosen(way) if runtime == "auto" else make_network(*way)
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


def _chosen(way: _Way) -> Network:
    """The network that "auto" takes."""
    spec, _, precision, device = way
    if device != "cpu" or precision is not None:
        return load_network(spec, "torch", precision, device)
    if "torch" not in sys.modules and not selection.is_measured(spec):
        measure_elsewhere(spec)
    # What is loaded for a comparison and does not win goes again.
    tried: dict[tuple[str, str], Network] = {}

    def load(runtime: str, precision: str) -> Network:
        network = _networks.get((spec, runtime, precision, device))
        if network is None:
            network = tried.get((runtime, precision)) or make_network(
                spec, runtime, precision, device
            )
        tried[runtime, precision] = network
        return network

    runtime, precision = selection.choose(spec, load)
    _networks[spec, runtime, precision, device] = network = load(runtime, precision)
    return network
