"""`text_encoder(name)`: texts to vectors that may be compared with those of pictures."""

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
    """Texts to unit-length float32 vectors beside those of pictures; thread-safe.

    Attributes: `fingerprint`, equal to that of the pictures whose vectors these may be compared
    with; `recipe`, that of those pictures; `dimension`; `max_tokens`, what counts of a text (the
    rest is cut off; `tokens` says how many a text has); `approximate`, whether it is a stand-in
    for a model that learned texts and pictures together; `note`, a sentence about its limits, for
    people; `runtime`, which computes it.
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
            wanted = {key: dict(operator.parameters).get(key) for key in constants.CONCEPTS_SIDE}
            if wanted != constants.CONCEPTS_SIDE:
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
        """Vector (D,) of a text, or vectors (N, D) of a list or tuple of them, in its order.

        Raises `InputError` for what is no text or holds no word, and `RuntimeUnavailable` in a
        process that was forked from one with a model.
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
        """What `encode` gives for a list. Graph pipelines ask for it."""
        return self.encode(list(texts))

    def tokens(self, text: str) -> int:
        """How many tokens a text has; of more than `max_tokens` only the first ones count."""
        return self._encoder.tokens(text)


_encoders: dict[tuple[str, Digests | None], TextEncoder] = {}
_loading = threading.Lock()


def text_encoder(
    recipe: str | os.PathLike[str] | Mapping[str, Any] | Recipe,
    *,
    folder: str | os.PathLike[str] | None = None,
) -> TextEncoder:
    """The encoder whose vectors may be compared with those of a recipe's pictures.

    `recipe` is what `pipeline` takes: 'image-embedding-efficientnet-lite0:concepts', for
    example, or the `text_recipe` of a pipeline with text. `folder` is that of a CLIP or SigLIP
    text tower which was not added. Made once per process, shared from then on, offline.

    Raises `UnknownName`; `RecipeError` for a recipe whose vectors are not beside texts;
    `PackageMissing`; `WeightsError` (`weights_missing` says how to bring a text tower,
    `weights_mismatch` where it is no pair with the pictures' model).
    """
    check_process()
    wanted = recipe_of(recipe)
    files = _files(_operator(wanted), folder)
    # By the files as well: another tower may have been added since.
    key = (wanted.to_json(), None if files is None else files.digests)
    with _loading:
        if key not in _encoders:
            _encoders[key] = TextEncoder(wanted, files)
        return _encoders[key]


def _operator(recipe: Recipe) -> Operator:
    operator = next((one for one in recipe if one.name in constants.VARIANTS), None)
    if operator is None:
        raise _not_beside_texts(recipe)
    return operator


def _files(operator: Operator, folder: str | os.PathLike[str] | None) -> TowerFiles | None:
    """The text tower of a joint model; None for concepts, whose encoder is a package."""
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
