"""Image classification: labels of a picture from a timm model's own classifier."""

import functools
import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embeddings import thread_count
from embeddings.errors import RecipeError
from embeddings.models.cards import model_card
from embeddings.models.weights import load_model, resolve
from embeddings.operators.embed import card_of, three
from embeddings.operators.multi_view import embed_views
from embeddings.operators.transform import ResizeCenterCrop

Labels = list[tuple[str, float]]


class TimmClassification:
    """`image_classification.timm`: the `top` most probable labels of a picture.

    Labels are timm's ImageNet descriptions. Runs torch in float32 on the processor. Torch is
    imported with the model, not with this module.
    """

    @classmethod
    def canonical(cls, model: str = "efficientnet-lite0", top: int = 5) -> dict[str, Any]:
        """Return the parameters for a model name. Raises `UnknownName` with the nearest names."""
        card = resolve(model_card(model))
        return {
            "architecture": card.architecture,
            "weights_sha256": card.sha256,
            "mean": card.mean,
            "std": card.std,
            "size": card.input_size,
            "crop_pct": card.crop_pct,
            "interpolation": card.interpolation,
            "top": top,
        }

    def __init__(
        self,
        architecture: str,
        weights_sha256: str,
        mean: Sequence[float],
        std: Sequence[float],
        size: int,
        crop_pct: float,
        interpolation: str,
        top: int,
    ) -> None:
        """Load the model. Raises `RecipeError`, `UnknownName` and `WeightsError`."""
        card = card_of(architecture, weights_sha256)
        self._mean = np.asarray(three("mean", mean), np.float32).reshape(1, 3, 1, 1)
        self._std = np.asarray(three("std", std), np.float32).reshape(1, 3, 1, 1)
        if self._std.min() <= 0:
            raise RecipeError(f"The numbers of std must be above 0, not {std}.")
        self._transform = ResizeCenterCrop(size, crop_pct, interpolation, True)
        self._model: Any = load_model(card)
        thread_count.apply_threads()
        self._labels = _labels(int(self._model.num_classes))
        if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top <= len(self._labels):
            raise RecipeError(f"top must be 1 to {len(self._labels)}, not {top!r}.")
        self._top = top

    def batch(self, pictures: Sequence[Image.Image | NDArray[np.uint8]]) -> list[Labels]:
        """Return the labels of each picture with probabilities (0 to 1), most probable first.

        A picture is RGB, prepared here as the model was trained, or prepared pixels, uint8
        (3, H, W), or (V, 3, H, W) for views whose scores are averaged before the softmax.
        Raises `InputError` for anything else.
        """
        if not len(pictures):
            return []
        prepared = [
            self._transform(picture if picture.mode == "RGB" else picture.convert("RGB"))
            if isinstance(picture, Image.Image)
            else picture
            for picture in pictures
        ]
        scores = embed_views(self._scores, prepared).astype(np.float64)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        # Stable sort: equal probabilities keep the order of the classes.
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, : self._top]
        return [
            [(self._labels[at], float(row[at])) for at in best]
            for row, best in zip(probabilities, order, strict=True)
        ]

    def _scores(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, 3, H, W) to logits (N, classes)."""
        import torch

        x = (pixels.astype(np.float32) / 255 - self._mean) / self._std
        with torch.inference_mode():
            scores: NDArray[np.float32] = self._model(torch.from_numpy(x)).numpy()
        return scores


@functools.cache
def _labels(classes: int) -> tuple[str, ...]:
    """Return ImageNet's descriptions for this number of classes. Raises `RecipeError`."""
    if classes != 1000:
        raise RecipeError(
            f"image_classification.timm knows the labels of ImageNet's 1000 classes; this model "
            f"has {classes}."
        )
    data: Any = importlib.import_module("timm.data")
    return tuple(data.ImageNetInfo("imagenet-1k").label_descriptions())
