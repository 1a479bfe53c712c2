"""Image embedding in a text space: by ImageNet classes, or by joint models (CLIP, SigLIP)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import RecipeError
from embeddings.models.cards import ModelCard, model_card
from embeddings.models.weights import resolve
from embeddings.operators.embed import TimmEmbedding, card_of, parameters_of
from embeddings.runtimes.spec import FeatureSpec
from embeddings.text.constants import CONCEPTS, CONCEPTS_SIDE, JOINT, MINILM_DIMENSION, check_able


class _OfHead(TimmEmbedding, ABC):
    """Vectors of a text space, computed from the output of the model's own head.

    The network returns the model's features followed by the head's output, so that a pipeline
    that wants both runs one network.
    """

    operator: str

    def __init__(
        self,
        architecture: str,
        weights_sha256: str,
        mean: Sequence[float],
        std: Sequence[float],
        size: int | None = None,
        crop_pct: float | None = None,
        interpolation: str | None = None,
        runtime: str = "auto",
        precision: str | None = None,
        device: str = "cpu",
    ) -> None:
        """Raises `RecipeError`, also for a model without a text space, and `UnknownName` when
        the weights are missing."""
        card = _able(card_of(architecture, weights_sha256), self.operator)
        super().__init__(
            architecture, weights_sha256, mean, std, "features", card.pooling,
            size, crop_pct, interpolation, runtime, precision, device,
        )  # fmt: skip
        self.head = card.head_dimension

    def spec(self, height: int, width: int) -> FeatureSpec:
        """Return the spec for pixels of this size: the features, then the head's output."""
        return replace(super().spec(height, width), head=self.head)

    def pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, 3, H, W) to float32 (N, dimension), not normalized."""
        return self.project(super().pixels(pixels)[:, -self.head :])

    @abstractmethod
    def project(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert the head's output (N, head) to vectors of the text space, (N, dimension)."""


class Concepts(_OfHead):
    """`image_text_embedding.concepts`: classes of an ImageNet classifier, in MiniLM's space.

    The mean of the vectors of ImageNet's 1,000 classes, each class a sentence, weighted by the
    picture's class probabilities: float32 (384,). Approximate: subjects that are not close to one
    of those classes are not found. Parameters are those of `image_embedding.timm` without layer
    and pooling, and those of the text side: the encoder, the digest of its weights, the prompt,
    and the digest of the resulting sentences.
    """

    operator = CONCEPTS
    dimension = MINILM_DIMENSION

    def __init__(
        self,
        architecture: str,
        weights_sha256: str,
        mean: Sequence[float],
        std: Sequence[float],
        text_encoder: str,
        text_weights_sha256: str,
        prompt: str,
        sentences_sha256: str,
        **others: Any,
    ) -> None:
        """Raises what `image_embedding.timm` raises, `PackageMissing` when MiniLM is needed and
        not installed, and `RecipeError` for another encoder, prompt or other sentences."""
        parameters = {
            "text_encoder": text_encoder,
            "text_weights_sha256": text_weights_sha256,
            "prompt": prompt,
            "sentences_sha256": sentences_sha256,
        }
        for key, known in CONCEPTS_SIDE.items():
            if parameters[key] != known:
                raise RecipeError(f"{CONCEPTS} has the {key} {known!r}, not {parameters[key]!r}.")
        super().__init__(architecture, weights_sha256, mean, std, **others)
        from embeddings.text.imagenet_classes import class_matrix

        self._classes = class_matrix()

    @classmethod
    def canonical(cls, model: str, takes: str = "image") -> dict[str, object]:  # type: ignore[override]
        """Return all parameters for the name of a model card with ImageNet's classifier.

        `takes` as for `image_embedding.timm`. Raises `UnknownName`, `RecipeError` for a model
        without that classifier, and `WeightsError`.
        """
        card = _able(model_card(model), CONCEPTS)
        return parameters_of(resolve(card), takes) | dict(CONCEPTS_SIDE)

    def project(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (N, 1000) to float32 (N, 384): softmax, then the classes' mean."""
        powers = np.exp(output - output.max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
        # Without BLAS, whose threads then spin on the cores that the networks compute on: measured,
        # a third of a pipeline's time.
        vectors: NDArray[np.float32] = np.einsum("nk,kd->nd", powers, self._classes)
        return vectors


class Joint(_OfHead):
    """`image_text_embedding.joint`: the space of a model trained on pictures with texts.

    CLIP's projection, which timm keeps as the model's classifier, or SigLIP's pooled vector,
    which has no projection: float32 (D,). Parameters are those of `image_embedding.timm` without
    layer and pooling.
    """

    operator = JOINT

    @classmethod
    def canonical(cls, model: str, takes: str = "image") -> dict[str, object]:  # type: ignore[override]
        """Return all parameters for the name of a model card with a text tower.

        `takes` as for `image_embedding.timm`. Raises `UnknownName`, `RecipeError` for a model
        without such a space, and `WeightsError`.
        """
        return parameters_of(resolve(_able(model_card(model), JOINT)), takes)

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        return self.head

    def project(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the head's output, which already is the vector."""
        return output


def _able(card: ModelCard, operator: str) -> ModelCard:
    check_able(card, operator)
    return card
