"""ONNX Runtime on the processor, from a model that is exported once and cached."""

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from embeddings.errors import RuntimeUnavailable
from embeddings.runtimes import cache
from embeddings.runtimes.spec import FeatureSpec

_MODEL = "model.onnx"
_PICTURES_AT_ONCE = 4


class OnnxNetwork:
    """A model in ONNX Runtime; each call computes in the thread that makes it."""

    runtime = "onnxruntime"
    device = "cpu"
    precision = "float32"

    def __init__(self, spec: FeatureSpec, precision: str) -> None:
        """Raises `RuntimeUnavailable` for another precision, and what loading a model raises."""
        if precision != "float32":
            raise RuntimeUnavailable(f"onnxruntime computes in float32 here, not {precision}.")
        path = exported(spec)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, 3, H, W) to float32 (N, D)."""
        parts = [
            self._session.run(None, {"pixels": pixels[start : start + _PICTURES_AT_ONCE]})[0]
            for start in range(0, max(1, len(pixels)), _PICTURES_AT_ONCE)
        ]
        return np.concatenate(parts)


def kept_name(spec: FeatureSpec) -> str:
    """Return the cache name of the exported model."""
    return f"onnx-{spec.digest[:32]}"


def exported(spec: FeatureSpec) -> Path:
    """Return the path of the model as `export` writes it, cached.

    Raises what `export` raises, and `CacheUnwritable`.
    """
    return cache.kept_folder(kept_name(spec), lambda folder: export(spec, folder / _MODEL)) / _MODEL


def export(spec: FeatureSpec, path: Path) -> None:
    """Write the model as ONNX: input "pixels" uint8 (N, 3, H, W), output "features" (N, D).

    Raises `RuntimeUnavailable` when the exporter's packages are not installed.
    """
    import torch

    from embeddings.models.feature_module import features_module

    module = features_module(spec)
    example = torch.zeros(2, 3, spec.height, spec.width, dtype=torch.uint8)
    output = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(output), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                (example,),
                path,
                input_names=["pixels"],
                output_names=["features"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except ImportError as error:
        raise RuntimeUnavailable(
            "Exporting to ONNX needs the packages onnx and onnxscript: pip install them."
        ) from error
    except Exception as error:  # the exporter raises many types for unsupported models
        raise RuntimeUnavailable(
            f"{spec.architecture} cannot be exported to ONNX ({error}); runtime 'torch' can run it."
        ) from error
