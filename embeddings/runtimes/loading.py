"""Load the network of a spec, once per process for each way to compute it."""

import threading
from functools import partial

from embeddings.errors import RuntimeUnavailable, UnknownName
from embeddings.runtimes import auto
from embeddings.runtimes.spec import PRECISIONS, RUNTIMES, FeatureSpec, Network

_networks: dict[tuple[FeatureSpec, str, str, str], Network] = {}
_loading = threading.RLock()


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
    with _loading:
        if device != "cpu":
            if runtime not in ("auto", "torch"):
                raise RuntimeUnavailable(f"{runtime} computes on 'cpu' here, not on {device!r}.")
            return _load(spec, "torch", precision or "bfloat16", device)
        if runtime == "auto" and precision is None:
            runtime, precision = auto.choose(spec, partial(_load, spec, device=device))
        elif runtime == "auto":
            runtime = "torch"
        return _load(spec, runtime, precision or "float32", device)


def _load(spec: FeatureSpec, runtime: str, precision: str, device: str) -> Network:
    key = (spec, runtime, precision, device)
    if key not in _networks:
        _networks[key] = _made(spec, runtime, precision, device)
    return _networks[key]


def _made(spec: FeatureSpec, runtime: str, precision: str, device: str) -> Network:
    # Imported here, so that a process has only the runtime that it uses in memory.
    try:
        if runtime == "openvino":
            from embeddings.runtimes.openvino_network import OpenVinoNetwork

            return OpenVinoNetwork(spec, precision)
        if runtime == "onnxruntime":
            from embeddings.runtimes.onnx_network import OnnxNetwork

            return OnnxNetwork(spec, precision)
    except ImportError as error:
        raise RuntimeUnavailable(
            f"The runtime {runtime} is not installed: pip install {runtime}."
        ) from error
    from embeddings.runtimes.torch_network import TorchNetwork

    return TorchNetwork(spec, precision, device)
