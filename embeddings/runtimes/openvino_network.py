"""OpenVINO on the processor, from a model that is converted once and cached.

A process that finds the converted model never imports torch: it starts in a fraction of the time
and memory.
"""

import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Disables OpenVINO's telemetry, which reports each import and conversion over the network.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino as ov  # noqa: E402

from embeddings import thread_count  # noqa: E402
from embeddings.errors import RuntimeUnavailable  # noqa: E402
from embeddings.runtimes import cache  # noqa: E402
from embeddings.runtimes.spec import FeatureSpec  # noqa: E402

# OpenVINO's first access to numpy takes a lock and releases the GIL: two threads that process their
# first pictures at the same moment would deadlock. Here one thread does it.
ov.Type.f32.to_dtype()

_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_MODEL = "model.xml"
# Larger batches gain nothing on a processor and exceed its caches.
_PICTURES_AT_ONCE = 4


class OpenVinoNetwork:
    """A model in OpenVINO, with one single-threaded stream for each of `thread_count.threads()`.

    Calls from several threads run in parallel, each in its own stream.
    """

    runtime = "openvino"
    device = "cpu"

    def __init__(self, spec: FeatureSpec, precision: str) -> None:
        """Raises `RuntimeUnavailable` when the processor does not support the precision, and what
        loading a model raises."""
        if precision not in _HINTS:
            raise RuntimeUnavailable(
                f"openvino computes in {' or '.join(_HINTS)} here, not {precision}."
            )
        if precision == "bfloat16" and "BF16" not in ov.Core().get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            raise RuntimeUnavailable("This processor has no bfloat16; float32 works everywhere.")
        self.precision = precision
        path = cache.kept_folder(kept_name(spec), lambda folder: _convert(spec, folder)) / _MODEL
        self._compiled = compiled(path, precision)
        self._of_thread = threading.local()

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, 3, H, W) to float32 (N, D)."""
        request = getattr(self._of_thread, "request", None)
        if request is None:
            request = self._of_thread.request = self._compiled.create_infer_request()
        parts = []
        for start in range(0, max(1, len(pixels)), _PICTURES_AT_ONCE):
            part = np.ascontiguousarray(pixels[start : start + _PICTURES_AT_ONCE])
            parts.append(request.infer([part], share_inputs=True)[0].copy())
        return np.concatenate(parts)


def kept_name(spec: FeatureSpec) -> str:
    """Return the cache name of the converted model."""
    return f"openvino-{version()}-{spec.digest[:32]}"


def version() -> str:
    """Return OpenVINO's version, which is part of the names of converted models."""
    return str(ov.get_version()).split("-")[0]


def compiled(path: Path, precision: str) -> Any:
    """Return a compiled model, with one single-threaded stream per `thread_count.threads()`."""
    streams = thread_count.threads()
    return ov.Core().compile_model(
        path,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams,
            "ENABLE_CPU_PINNING": False,
        },
    )


def _convert(spec: FeatureSpec, folder: Path) -> None:
    import torch

    from embeddings.models.feature_module import features_module

    module = features_module(spec)
    example = torch.zeros(2, 3, spec.height, spec.width, dtype=torch.uint8)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            # Shape computations in the model become constants, since pixels have one size.
            warnings.simplefilter("ignore")
            converted = ov.convert_model(module, example_input=example)
    except Exception as error:  # OpenVINO raises many types for unsupported models
        raise RuntimeUnavailable(
            f"openvino cannot convert {spec.architecture} ({error}); runtime 'torch' can run it."
        ) from error
    converted.reshape([-1, 3, spec.height, spec.width])
    ov.save_model(converted, folder / _MODEL, compress_to_fp16=False)
