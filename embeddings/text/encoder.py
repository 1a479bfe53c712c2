"""`text_encoder(name)`: encodes texts as vectors comparable with those of pictures."""

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import InputError, RecipeError
from embeddings.models.cards import card_for_weights
from embeddings.pipelines import recipe_of
from embeddings.recipes import Operator, Recipe, text_recipe
from embeddings.runtimes.loader import check_process
from embeddings.text import constants
from embeddings.text.minilm import MAX_TOKENS, minilm
from embeddings.text.tower_files import Digests, TowerFiles, files_in, text_tower
from embeddings.text.towers import check_pair, tower

_CONCEPTS_NOTE = (
    "Approximate: a text finds what an ImageNet classifier sees, its 1,000 kinds of animals, "
    "plants, things and places and what is named like them; people, scenes, styles, colours, "
    "numbers and writing are not found, and every text finds something."
)
_JOINT_NOTE = (
    "Texts and pictures were learned together from the web: short English descriptions find most, "
    "counts and positions little, and every text finds something."
)


class _Encoder(Protocol):
    runtime: str

    def batch(self, texts: Sequence[str]) -> NDArray[np.float32]: ...

    def tokens(self, text: str) -> int: ...


class TextEncoder:
    """Encodes texts as unit-length float32 vectors in the space of pictures; thread-safe.

    Attributes: `fingerprint`, equal to that of the pictures with comparable vectors; `recipe`, the
    recipe of those pictures; `dimension`; `max_tokens`, after which a text is cut off (`tokens`
    counts those of a text); `approximate`, whether it replaces a model trained on texts and
    pictures together; `note`, a sentence about its limits, for people; `runtime`, which computes
    it.
    """

    def __init__(self, recipe: Recipe, files: TowerFiles | None = None) -> None:
        """Load the encoder; `files` are those of a joint recipe's text tower.

        Raises what `text_encoder` raises.
        """
        operator = _operator(recipe)
        self.recipe = recipe
        self.fingerprint = recipe.fingerprint
        self.dimension = recipe.dimension
        self.approximate = operator.name == constants.CONCEPTS
        self._encoder: _Encoder
        if files is None:
            recorded = {key: dict(operator.parameters).get(key) for key in constants.CONCEPTS_SIDE}
            if recorded != constants.CONCEPTS_SIDE:
                raise RecipeError(
                    f"The pictures of {recipe.name!r} were put beside texts in another way."
                )
            self._encoder, self.max_tokens = minilm(), MAX_TOKENS
            self.note = _CONCEPTS_NOTE
        else:
            card = card_for_weights(str(dict(operator.parameters)["weights_sha256"]))
            check_pair(card.name, files)
            loaded = tower(cast(str, card.head), files)
            self._encoder, self.max_tokens = loaded, loaded.max_tokens
            self.note = _JOINT_NOTE
        self.runtime = self._encoder.runtime

    def __repr__(self) -> str:
        return f"<TextEncoder for {self.recipe.name} {self.fingerprint[:12]}>"

    def encode(self, texts: str | Sequence[str]) -> NDArray[np.float32]:
        """Return the vector (D,) of a text, or vectors (N, D) of a list or tuple, in order.

        Raises `InputError` for non-strings and texts without words, and `RuntimeUnavailable` in a
        process that was forked after a model was loaded.
        """
        check_process()
        if isinstance(texts, str):
            vector: NDArray[np.float32] = self._encoder.batch([texts])[0]
            return vector
        if not isinstance(texts, list | tuple):
            raise InputError(
                f"An encoder takes a text or a list of them, not {type(texts).__name__}."
            )
        return self._encoder.batch(texts)

    __call__ = encode

    def batch(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors (N, D), as `encode` does for a list. Used by graph pipelines."""
        return self.encode(list(texts))

    def tokens(self, text: str) -> int:
        """Return the number of tokens of a text; only the first `max_tokens` are encoded."""
        return self._encoder.tokens(text)


_encoders: dict[tuple[str, Digests | None], TextEncoder] = {}
_loading = threading.Lock()


def text_encoder(
    recipe: str | os.PathLike[str] | Mapping[str, Any] | Recipe,
    *,
    folder: str | os.PathLike[str] | None = None,
) -> TextEncoder:
    """Return the encoder whose vectors are comparable with those of a recipe's pictures.

    `recipe` is what `pipeline` accepts, for example 'image-embedding-efficientnet-lite0:concepts',
    or the `text_recipe` of a pipeline with text. `folder` holds a CLIP or SigLIP text tower that
    was not added. Created once per process, shared, offline.

    Raises `UnknownName`; `RecipeError` for a recipe outside a text space; `PackageMissing`;
    `WeightsError` (`weights_missing` says how to get a text tower, `weights_mismatch` when it does
    not fit the pictures' model).
    """
    check_process()
    resolved = recipe_of(recipe)
    files = _files(_operator(resolved), folder)
    # Keyed by the files as well: another tower may have been added since.
    key = (resolved.to_json(), None if files is None else files.digests)
    with _loading:
        if key not in _encoders:
            _encoders[key] = TextEncoder(resolved, files)
        return _encoders[key]


def _operator(recipe: Recipe) -> Operator:
    operator = next((one for one in recipe if one.name in constants.VARIANTS), None)
    if operator is None:
        raise _not_beside_texts(recipe)
    return operator


def _files(operator: Operator, folder: str | os.PathLike[str] | None) -> TowerFiles | None:
    """Return the text tower of a joint model; None for concepts, whose encoder is a package."""
    if operator.name == constants.CONCEPTS:
        if folder is not None:
            raise InputError("The text encoder of concepts is a package; it takes no folder.")
        return None
    if folder is not None:
        return files_in(folder)
    return text_tower(card_for_weights(str(dict(operator.parameters)["weights_sha256"])).name)


def _not_beside_texts(recipe: Recipe) -> RecipeError:
    try:
        beside = f"; those of {text_recipe(recipe).name!r} may"
    except (RecipeError, KeyError):
        beside = ""
    return RecipeError(
        f"Vectors of {recipe.name!r} may not be compared with those of texts{beside}."
    )
