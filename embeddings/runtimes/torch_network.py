"""The reference: torch, eager, channels last."""

import threading
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from embeddings import runtime
from embeddings.errors import RuntimeUnavailable
from embeddings.models.features import Features, features_module
from embeddings.runtimes.spec import FeatureSpec

# On the processor: more pictures at once outgrow the caches, and their activations outgrow what
# the allocator keeps, so that each layer faults fresh pages in. Measured with one thread, 32 at
# once take about twice as long as 16 times 2.
_PICTURES_PER_THREAD = 2
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TorchNetwork:
    """A model in torch, on the processor or a CUDA device."""

    runtime = "torch"

    def __init__(self, spec: FeatureSpec, precision: str, device: str) -> None:
        """Raises `RuntimeUnavailable` for a device that is not there, and what loading raises."""
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise RuntimeUnavailable(
                f"There is no CUDA device for '{device}'; device 'cpu' is always there."
            )
        if device == "cpu" and precision == "float16":
            raise RuntimeUnavailable("float16 needs a CUDA device; the processor has float32.")
        self.precision = precision
        self.device = device
        self._dtype = _DTYPES[precision]
        runtime.apply_threads()
        module: Any = features_module(spec)
        self.module: Features = module.to(device, self._dtype, memory_format=torch.channels_last)
        self._one_at_a_time = threading.Lock()
        if device != "cpu":
            self._forward = self._on_device
        else:
            self._forward = self._on_processor

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, 3, H, W) to float32 (N, D). Callers in several threads take turns."""
        with self._one_at_a_time, torch.inference_mode():
            return self._forward(pixels)

    def _on_processor(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        step = _PICTURES_PER_THREAD * runtime.threads()
        parts = []
        for start in range(0, max(1, len(pixels)), step):
            x = torch.from_numpy(pixels[start : start + step])
            x = x.to(self._dtype, memory_format=torch.channels_last)
            parts.append(self.module(x).numpy())
        return np.concatenate(parts)

    def _on_device(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        # Pinned, so that the copy runs beside what the device still computes.
        x = torch.from_numpy(pixels).pin_memory().to(self.device, non_blocking=True)
        x = x.contiguous(memory_format=torch.channels_last)
        vectors: NDArray[np.float32] = self.module(x).cpu().numpy()
        return vectors
