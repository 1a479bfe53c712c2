"""The model: squares of pixels in, pooled features out."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embeddings.errors import RecipeError
from embeddings.models.cards import card_for_weights, model_card
from embeddings.models.weights import resolve
from embeddings.operators.transform import ResizeCenterCrop
from embeddings.operators.views import embed_views
from embeddings.runtimes.loading import load_network
from embeddings.runtimes.spec import FeatureSpec, Network, max_batch


class TimmEmbedding:
    """`image_embedding.timm`: one layer of a timm model, pooled over its places.

    `layer` is "features", the last one before the classifier, or the name of a module of the
    model; `pooling` is avg, max, gem (p = 3), cls (the class token of a transformer) or head
    (what the model itself does before its classifier). The model is loaded when first needed,
    and its weights' digest is checked.
    """

    def __init__(
        self,
        architecture: str,
        weights_sha256: str,
        mean: Sequence[float],
        std: Sequence[float],
        layer: str,
        pooling: str,
    ) -> None:
        self._card = card_for_weights(weights_sha256)
        self._sha256 = weights_sha256
        if self._card.architecture != architecture:
            raise RecipeError(
                f"The weights {weights_sha256[:12]} are for {self._card.architecture}, "
                f"not for {architecture}."
            )
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise RecipeError("mean and std need three numbers each, those of std above 0.")
        self._mean = (float(mean[0]), float(mean[1]), float(mean[2]))
        self._std = (float(std[0]), float(std[1]), float(std[2]))
        self._layer = layer
        self._pooling = pooling
        self._way: dict[str, Any] = {}

    @classmethod
    def canonical(
        cls, model: str, layer: str = "features", pooling: str | None = None
    ) -> dict[str, object]:
        """The parameters in full, for the name of a model card.

        Without `pooling`, the last features are pooled as timm does, other layers averaged.
        Raises `UnknownName`, and `WeightsError` for a model whose weights are not here.
        """
        card = resolve(model_card(model))
        if pooling is None:
            pooling = card.pooling if layer == "features" else "avg"
        return {
            "architecture": card.architecture,
            "weights_sha256": card.sha256,
            "mean": card.mean,
            "std": card.std,
            "layer": layer,
            "pooling": pooling,
        }

    def use(self, runtime: str, precision: str | None, device: str) -> None:
        """Say what is to compute the model (see `load_network`), before the first call."""
        self._way = {"runtime": runtime, "precision": precision, "device": device}

    def network(self, height: int, width: int) -> Network:
        """What computes pixels of this size; loaded on first use."""
        spec = FeatureSpec(
            architecture=self._card.architecture,
            weights_sha256=self._sha256,
            mean=self._mean,
            std=self._std,
            layer=self._layer,
            pooling=self._pooling,
            height=height,
            width=width,
        )
        return load_network(spec, **self._way)

    @cached_property
    def dimension(self) -> int:
        """The length of a vector. Where the card does not say it, the model is asked."""
        own = self._card.pooling
        if self._layer == "features" and (
            self._pooling == own or "head" not in (self._pooling, own)
        ):
            return self._card.dimension
        side = self._card.input_size
        return int(self.pixels(np.zeros((1, 3, side, side), np.uint8)).shape[1])

    def pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, 3, H, W) to float32 (N, dimension)."""
        return self.network(*pixels.shape[2:])(pixels)

    def batch(self, pictures: Sequence[Image.Image | NDArray[np.uint8]]) -> NDArray[np.float32]:
        """N pictures to float32 (N, dimension).

        A picture is prepared, uint8 (3, H, W) or (V, 3, H, W) for V views, whose vectors are
        averaged; or it is an RGB image, which goes through the model's own transform.
        """
        return embed_views(
            self.pixels,
            [
                self._own_transform(picture) if isinstance(picture, Image.Image) else picture
                for picture in pictures
            ],
            max_batch(self._way.get("device", "cpu")),
        )

    def __call__(self, picture: Image.Image | NDArray[np.uint8]) -> NDArray[np.float32]:
        """One picture, as in `batch`, to float32 (dimension,)."""
        vector: NDArray[np.float32] = self.batch([picture])[0]
        return vector

    @cached_property
    def _own_transform(self) -> ResizeCenterCrop:
        card = self._card
        return ResizeCenterCrop(card.input_size, card.crop_pct, card.interpolation, antialias=True)
