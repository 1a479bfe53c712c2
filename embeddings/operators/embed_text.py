"""Text embedding: MiniLM sentence vectors, and the text towers of CLIP and SigLIP."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import RecipeError
from embeddings.text.constants import MINILM_SHA256, MINILM_TOKENIZER_SHA256
from embeddings.text.minilm import minilm
from embeddings.text.tower_files import Digests, files_in, kind_of, text_tower, tower_with

StrPath = str | os.PathLike[str]


class MiniLMText:
    """`text_embedding.minilm`: a text to float32 (384,) of unit length, offline.

    Comparable with the pictures of `image_text_embedding.concepts`, and with other texts. The
    `runtime` (auto, openvino or torch) is not part of the recipe.
    """

    local = frozenset({"runtime"})

    @classmethod
    def canonical(cls) -> dict[str, Any]:
        """Return the parameters: there is one MiniLM."""
        return {
            "weights_sha256": MINILM_SHA256,
            "tokenizer_sha256": MINILM_TOKENIZER_SHA256,
        }

    def __init__(self, weights_sha256: str, tokenizer_sha256: str, runtime: str = "auto") -> None:
        """Raises `RecipeError` for other digests, and what `embeddings.text.minilm` raises."""
        digests = {"weights_sha256": weights_sha256, "tokenizer_sha256": tokenizer_sha256}
        if digests != self.canonical():
            raise RecipeError("text_embedding.minilm has other weights than this recipe names.")
        self._encoder = minilm(runtime)

    def batch(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """N texts to float32 (N, 384). Raises `InputError` for non-strings and empty texts."""
        return self._encoder.batch(texts)


class _TowerText:
    """A text to float32 (D,) of unit length, by the text tower of a joint model.

    The digests of the tower's three files determine the result; their `folder` is not part of the
    recipe: without it, the towers that were added or fetched are searched.
    """

    local = frozenset({"folder"})
    kind: str

    @classmethod
    def _canonical(cls, model: str, folder: StrPath | None) -> dict[str, Any]:
        if folder is None and kind_of(model) != cls.kind:
            raise RecipeError(f"The text tower of {model} is no {cls.kind}.")
        files = text_tower(model) if folder is None else files_in(folder)
        digests = files.digests
        parameters: dict[str, Any] = {
            "weights_sha256": digests.weights_sha256,
            "config_sha256": digests.config_sha256,
            "tokenizer_sha256": digests.tokenizer_sha256,
        }
        return parameters if folder is None else {**parameters, "folder": os.fspath(folder)}

    def __init__(
        self,
        weights_sha256: str,
        config_sha256: str,
        tokenizer_sha256: str,
        folder: StrPath | None = None,
    ) -> None:
        """Raises `UnknownName` for a tower that is missing, `RecipeError` for a folder that
        holds another one, `PackageMissing`, and `WeightsError`."""
        from embeddings.text.towers import tower

        digests = Digests(weights_sha256, config_sha256, tokenizer_sha256)
        files = tower_with(digests) if folder is None else files_in(folder)
        if files.digests != digests:
            raise RecipeError(f"The folder {folder} holds another text tower than the recipe.")
        self._tower = tower(self.kind, files)

    def batch(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """N texts to float32 (N, D). Raises `InputError` for non-strings and empty texts."""
        return self._tower.batch(texts)


class ClipText(_TowerText):
    """`text_embedding.clip`: CLIP's text tower and its projection."""

    kind = "clip"

    @classmethod
    def canonical(
        cls, model: str = "clip-vit-b32", folder: StrPath | None = None
    ) -> dict[str, Any]:
        """Return the parameters for the tower of a model, or in a folder.

        Raises `UnknownName`, `InputError` and `WeightsError`.
        """
        return cls._canonical(model, folder)


class SiglipText(_TowerText):
    """`text_embedding.siglip`: SigLIP's text tower."""

    kind = "siglip"

    @classmethod
    def canonical(
        cls, model: str = "siglip-base-p16-224", folder: StrPath | None = None
    ) -> dict[str, Any]:
        """Return the parameters for the tower of a model, or in a folder.

        Raises `UnknownName`, `InputError` and `WeightsError`.
        """
        return cls._canonical(model, folder)
