"""Specification of a network's computation as data, and the protocol of networks."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

RUNTIMES = ("auto", "torch", "openvino", "onnxruntime")
PRECISIONS = ("float32", "bfloat16", "float16")
# A pooling that keeps the positions of a map, one after the other, as heatmaps need. No recipe
# uses it.
PLACES = "places"
CPU_BATCH = 32
CUDA_BATCH = 512


def max_batch(device: str) -> int:
    """Return the largest batch worth giving to a device."""
    return CPU_BATCH if device == "cpu" else CUDA_BATCH


@dataclass(frozen=True)
class FeatureSpec:
    """Pooled features of one layer of one model, for pixels of one size.

    `mean` and `std` are per channel (R, G, B) on a scale of 0 to 1; `layer` is "features", the
    last one before the classifier, or the name of a module; `height` and `width` in pixels.
    `head` is how many numbers of the model's own head (a classifier's scores, or a projection)
    follow the features, from the same forward pass; 0 for none.
    """

    architecture: str
    weights_sha256: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    layer: str
    pooling: str
    height: int
    width: int
    head: int = 0

    @property
    def digest(self) -> str:
        """SHA-256, 64 hex digits, over all fields."""
        fields = asdict(self)
        if not self.head:  # keeps cache entries from before `head` existed valid
            del fields["head"]
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


class Network(Protocol):
    """A loaded model. Safe to call from several threads at once."""

    runtime: str
    precision: str
    device: str

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, 3, H, W), RGB, to float32 (N, D), not normalized.

        With a head of K numbers in the spec, (N, D + K).
        """
        ...
