"""torch, the reference runtime: eager mode, channels last."""

import threading
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from embeddings import thread_count
from embeddings.errors import RuntimeUnavailable
from embeddings.models.feature_module import Features, features_module
from embeddings.runtimes.spec import FeatureSpec

# On the processor, larger batches exceed the caches, and their activations exceed what the
# allocator retains, so that each layer faults in fresh pages. Measured with one thread, a batch of
# 32 takes about twice as long as 16 batches of 2.
_PICTURES_PER_THREAD = 2
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TorchNetwork:
    """A model in torch, on the processor or a CUDA device."""

    runtime = "torch"

    def __init__(self, spec: FeatureSpec, precision: str, device: str) -> None:
        """Raises `RuntimeUnavailable` for a device that is not there, and what loading raises."""
        if device != "cpu":
            device_name(device)
        elif precision == "float16":
            raise RuntimeUnavailable("float16 needs a CUDA device; the processor has float32.")
        self.precision = precision
        self.device = device
        thread_count.apply_threads()
        module: Any = features_module(spec).compute_in(_DTYPES[precision])
        self.module: Features = module.to(device, memory_format=torch.channels_last)
        self._one_at_a_time = threading.Lock()
        self._of_thread = threading.local()
        self._forward = self._on_processor if device == "cpu" else self._on_device
        if device != "cpu":
            torch.cuda.synchronize(device)  # other streams read the weights from now on

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, 3, H, W) to float32 (N, D). Safe to call from several threads at once."""
        with torch.inference_mode():
            return self._forward(pixels)

    def _on_processor(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        step = _PICTURES_PER_THREAD * thread_count.threads()
        parts = []
        with self._one_at_a_time:  # torch parallelizes a single call itself
            for start in range(0, max(1, len(pixels)), step):
                x = torch.from_numpy(pixels[start : start + step])
                x = x.to(torch.float32, memory_format=torch.channels_last)
                parts.append(self.module(x).numpy())
        return np.concatenate(parts)

    def _on_device(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        # Each calling thread has its own stream: one copies from pinned memory while the device
        # computes for another.
        stream = getattr(self._of_thread, "stream", None)
        if stream is None:
            make: Any = torch.cuda.Stream
            stream = self._of_thread.stream = make(self.device)
        with torch.cuda.stream(stream):
            x = torch.from_numpy(pixels).pin_memory().to(self.device, non_blocking=True)
            x = x.contiguous(memory_format=torch.channels_last)
            with self._one_at_a_time:  # held for the launch, not for the computation
                features = self.module(x)
            vectors: NDArray[np.float32] = features.cpu().numpy()
        return vectors


def device_name(device: str) -> str:
    """Return the model name of a CUDA device, such as "NVIDIA H200".

    Raises `RuntimeUnavailable` for a device that is not there.
    """
    try:
        return str(torch.cuda.get_device_name(device))
    except (AssertionError, RuntimeError) as error:  # the type depends on what is missing
        raise RuntimeUnavailable(
            f"There is no CUDA device for '{device}'; device 'cpu' is always there."
        ) from error
