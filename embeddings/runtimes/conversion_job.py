"""Conversion of a model in a subprocess: `python -m embeddings.runtimes.conversion_job` with a
spec, a runtime and a precision.

Conversion needs torch, whose memory a process never releases. Others therefore convert in a
subprocess, once per machine.
"""

import importlib
import json
import sys
from dataclasses import asdict

from embeddings.runtimes import cache
from embeddings.runtimes.networks import make_network
from embeddings.runtimes.spec import FeatureSpec
from embeddings.runtimes.subprocess_job import run_module

_MODULES = {
    "openvino": "embeddings.runtimes.openvino_network",
    "onnxruntime": "embeddings.runtimes.onnx_network",
}


def is_converted(spec: FeatureSpec, runtime: str) -> bool:
    """Whether loading `spec` in `runtime` needs no conversion."""
    if runtime not in _MODULES:
        return True
    return cache.is_kept(importlib.import_module(_MODULES[runtime]).kept_name(spec))


def convert_elsewhere(spec: FeatureSpec, runtime: str, precision: str) -> None:
    """Convert `spec` for `runtime` in a subprocess and cache it, unless that is done. Failures are
    ignored: they show when the model is loaded."""
    if not is_converted(spec, runtime):
        run_module(__name__, json.dumps(asdict(spec)), runtime, precision)


def main(text: str, runtime: str, precision: str) -> None:
    fields = json.loads(text)
    fields |= {"mean": tuple(fields["mean"]), "std": tuple(fields["std"])}
    make_network(FeatureSpec(**fields), runtime, precision)


if __name__ == "__main__":
    main(*sys.argv[1:4])
