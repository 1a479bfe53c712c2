"""The model: squares of pixels in, pooled features out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from embeddings import runtime
from embeddings.errors import RecipeError
from embeddings.models.cards import card_for_weights
from embeddings.models.fold import fold_batch_norms
from embeddings.models.weights import load_model

_PICTURES_PER_THREAD = 2


class TimmEmbedding:
    """`image_embedding.timm`: a timm model's last feature map, averaged over its places.

    Runs torch in float32 on the processor with channels-last memory, which agrees with the
    plain layout and is half as fast again, and with batch norms folded away. Loading verifies
    the weights' digest.
    """

    runtime = "torch"
    precision = "float32"

    def __init__(
        self,
        architecture: str,
        weights_sha256: str,
        mean: Sequence[float],
        std: Sequence[float],
        layer: str,
        pooling: str,
    ) -> None:
        card = card_for_weights(weights_sha256)
        if card.architecture != architecture:
            raise RecipeError(
                f"The weights {weights_sha256[:12]} are for {card.architecture}, "
                f"not for {architecture}."
            )
        if layer != "features" or pooling != "avg":
            raise RecipeError(
                "image_embedding.timm gives layer 'features' with pooling 'avg'; "
                f"not {layer!r} with {pooling!r}."
            )
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise RecipeError("mean and std need three numbers each, those of std above 0.")
        runtime.apply_threads()
        self.dimension = card.dimension
        self.model: Any = fold_batch_norms(load_model(card)).to(memory_format=torch.channels_last)
        # (x / 255 - mean) / std as one multiplication and one addition.
        deviation = torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1)
        self._scale = 1 / (255 * deviation)
        self._shift = -torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1) / deviation

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, 3, H, W) to float32 (N, dimension)."""
        # A few pictures a thread: more of them at once outgrow the caches, and their activations
        # outgrow what the allocator keeps, so that each layer faults fresh pages in. Measured
        # with one thread, 32 at once take about twice as long as 16 times 2.
        step = _PICTURES_PER_THREAD * runtime.threads()
        pooled = np.empty((len(pixels), self.dimension), np.float32)
        with torch.inference_mode():
            for start in range(0, len(pixels), step):
                x = torch.from_numpy(pixels[start : start + step])
                x = x.to(torch.float32, memory_format=torch.channels_last)
                features = self.model.forward_features(x * self._scale + self._shift)
                pooled[start : start + step] = features.mean(dim=(2, 3)).numpy()
        return pooled
