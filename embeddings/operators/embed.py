"""Image embedding with a timm model: prepared pixels in, pooled features out."""

import threading
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embeddings.errors import InputError, RecipeError, UnknownName
from embeddings.models.cards import ModelCard, card_for_weights, model_card
from embeddings.models.weights import resolve
from embeddings.operators.multi_view import embed_views
from embeddings.operators.transform import ResizeCenterCrop
from embeddings.runtimes.loader import check_process, load_network
from embeddings.runtimes.spec import PLACES, FeatureSpec, Network, max_batch

_TAKES = ("image", "pixels")
_MAX_STATISTIC = 1000.0  # of mean and std: larger values are mistakes that overflow to infinity


class TimmEmbedding:
    """`image_embedding.timm`: one layer of a timm model, pooled over its positions.

    `layer` is "features", the last one before the classifier, or the name of a module of the
    model; `pooling` is avg, max, gem (p = 3), cls (the class token of a transformer) or head
    (what the model itself does before its classifier). With `size`, `crop_pct` and
    `interpolation` it also accepts RGB pictures, which it resizes and crops accordingly.
    `runtime`, `precision` and `device` (see `load_network`) are not part of the recipe. The model
    is loaded at first use, and the digest of its weights is checked.
    """

    local = ("runtime", "precision", "device")
    concurrent = True

    def __init__(
        self,
        architecture: str,
        weights_sha256: str,
        mean: Sequence[float],
        std: Sequence[float],
        layer: str,
        pooling: str,
        size: int | None = None,
        crop_pct: float | None = None,
        interpolation: str | None = None,
        runtime: str = "auto",
        precision: str | None = None,
        device: str = "cpu",
    ) -> None:
        """Raises `RecipeError`, and `UnknownName` when the weights are missing."""
        self._card = card_of(architecture, weights_sha256)
        if not isinstance(layer, str) or not isinstance(pooling, str):
            raise RecipeError(f"layer and pooling must be names, not {layer!r} and {pooling!r}.")
        if pooling == PLACES:
            raise RecipeError("Places are not pooled: they make no vector.")
        self._sha256 = weights_sha256
        self._mean, self._std = three("mean", mean), three("std", std)
        if min(self._std) <= 0:
            raise RecipeError(f"The numbers of std must be above 0, not {self._std}.")
        self._layer = layer
        self._pooling = pooling
        self._transform: ResizeCenterCrop | None = None
        if size is not None and crop_pct is not None and interpolation is not None:
            self._transform = ResizeCenterCrop(size, crop_pct, interpolation, antialias=True)
        elif (size, crop_pct, interpolation) != (None, None, None):
            raise RecipeError("size, crop_pct and interpolation go together.")
        self._way = runtime, precision, device
        self._networks: dict[tuple[int, int], Network] = {}
        self._loading = threading.Lock()

    @classmethod
    def canonical(
        cls,
        model: str | None = None,
        layer: str = "features",
        pooling: str | None = None,
        takes: str = "image",
        *,
        model_name: str | None = None,
    ) -> dict[str, object]:
        """Return all parameters for the name of a model card: `model`, or `model_name`.

        Without `pooling`, the last features are pooled as timm does, other layers averaged.
        `takes` is "image", for RGB pictures that go through the model's own transform, or
        "pixels", for the output of a transform. Raises `UnknownName`, `WeightsError` when the
        model's weights are missing, and `RecipeError` for no model, or two.
        """
        if (model is None) == (model_name is None):
            raise RecipeError(
                "image_embedding.timm needs the name of a model: model='...' or model_name='...', "
                "and not both."
            )
        card = resolve(model_card(model if model is not None else str(model_name)))
        if pooling is None:
            pooling = card.pooling if layer == "features" else "avg"
        return parameters_of(card, takes) | {"layer": layer, "pooling": pooling}

    def network(self, height: int, width: int) -> Network:
        """Return the network for pixels of this size, loaded at first use.

        Raises what `load_network` raises.
        """
        with self._loading:  # the first thread loads, others wait for it
            network = self._networks.get((height, width))
            if network is None:
                network = load_network(self.spec(height, width), *self._way)
                self._networks[height, width] = network
        check_process()
        return network

    def spec(self, height: int, width: int) -> FeatureSpec:
        """Return what is computed from pixels of this size."""
        return FeatureSpec(
            architecture=self._card.architecture,
            weights_sha256=self._sha256,
            mean=self._mean,
            std=self._std,
            layer=self._layer,
            pooling=self._pooling,
            height=height,
            width=width,
        )

    @cached_property
    def dimension(self) -> int:
        """The length of a vector, measured with the model when the card does not state it."""
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
        averaged; or, if there is a transform, an RGB image. Raises `InputError` for others.
        """
        prepared = [
            self._prepared(picture) if isinstance(picture, Image.Image) else picture
            for picture in pictures
        ]
        return embed_views(self.pixels, prepared, max_batch(self._way[2]))

    def __call__(self, picture: Image.Image | NDArray[np.uint8]) -> NDArray[np.float32]:
        """One picture, as in `batch`, to float32 (dimension,)."""
        vector: NDArray[np.float32] = self.batch([picture])[0]
        return vector

    def _prepared(self, picture: Image.Image) -> NDArray[np.uint8]:
        if self._transform is None:
            raise InputError(
                "This model takes pixels, as a transform gives them, and not a picture: put an "
                "image_transform before it, or say takes='image'."
            )
        return self._transform(picture)


def parameters_of(card: ModelCard, takes: str) -> dict[str, object]:
    """Return the recipe parameters common to every operator that runs a card's model.

    Raises `UnknownName` for an unknown value of `takes`.
    """
    if takes not in _TAKES:
        raise UnknownName("input of a model", takes, _TAKES)
    parameters: dict[str, object] = {
        "architecture": card.architecture,
        "weights_sha256": card.sha256,
        "mean": card.mean,
        "std": card.std,
    }
    if takes == "image":
        parameters |= {
            "size": card.input_size,
            "crop_pct": card.crop_pct,
            "interpolation": card.interpolation,
        }
    return parameters


def card_of(architecture: str, weights_sha256: str) -> ModelCard:
    """Return the card of these weights. Raises `RecipeError`, `UnknownName` if it is missing."""
    card = card_for_weights(weights_sha256)
    if card.architecture != architecture:
        raise RecipeError(
            f"The weights {weights_sha256[:12]} are for {card.architecture}, not for "
            f"{architecture}."
        )
    return card


def three(name: str, values: Sequence[float]) -> tuple[float, float, float]:
    """Return numbers for R, G and B, for pixels scaled to 0 to 1. Raises `RecipeError`."""
    numbers = tuple(values) if isinstance(values, list | tuple) else ()
    if len(numbers) != 3 or not all(
        isinstance(one, int | float) and abs(one) <= _MAX_STATISTIC for one in numbers
    ):
        raise RecipeError(f"{name} must be three numbers, for R, G and B; not {values!r}.")
    return float(numbers[0]), float(numbers[1]), float(numbers[2])
