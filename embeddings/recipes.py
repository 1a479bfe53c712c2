"""Recipes: the operators of a pipeline as data, with a fingerprint.

A recipe holds everything that affects a vector: decoder, resize filter and crop, mean and std,
architecture, weights digest, layer, pooling, normalization. Vectors are comparable exactly when
the fingerprints of their recipes are equal. The recipe's name, the runtime and the precision are
not part of the fingerprint.

This module imports neither torch nor an image library.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from embeddings.errors import RecipeError, UnknownName, WeightsError
from embeddings.models import cards
from embeddings.models.weights import resolve
from embeddings.text import constants

DEFAULT_PIPELINE = "image-embedding-efficientnet-lite0"

Scalar = str | int | float | bool | None
Value = Scalar | tuple[Scalar, ...]


def _scalar(value: object) -> Scalar:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        # JSON does not distinguish 1.0 from 1, and some stores turn one into the other.
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    raise RecipeError(
        f"A parameter of an operator is {value!r}; it must be text, a finite number, "
        "true, false, null, or a list of these."
    )


def _value(value: object) -> Value:
    if isinstance(value, list | tuple):
        return tuple(_scalar(item) for item in value)
    return _scalar(value)


@dataclass(frozen=True, eq=False)
class Operator:
    """One step of a recipe: `task.implementation`, its version, and its parameters.

    `parameters` are pairs sorted by name; `Operator.of` builds them from a mapping.
    Two operators are equal when their canonical JSON is equal.
    """

    name: str
    version: int
    parameters: tuple[tuple[str, Value], ...] = ()

    @classmethod
    def of(
        cls, name: str, version: int, parameters: Mapping[str, object] | None = None
    ) -> "Operator":
        """Return the operator with checked, frozen parameters. Raises `RecipeError`."""
        pairs = dict(parameters or {})
        if not isinstance(name, str) or not all(isinstance(key, str) for key in pairs):
            raise RecipeError("The names of operators and of their parameters must be text.")
        if isinstance(version, bool) or not isinstance(version, int):
            raise RecipeError(f"The version of operator {name!r} must be a whole number.")
        frozen = tuple(sorted((key, _value(value)) for key, value in pairs.items()))
        return cls(name, version, frozen)

    def to_dict(self) -> dict[str, Any]:
        """Return the operator as plain JSON types."""
        parameters = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in self.parameters
        }
        return {"name": self.name, "version": self.version, "parameters": parameters}

    @property
    def canonical(self) -> str:
        """Return the JSON text of this operator that goes into a fingerprint."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Operator) and self.canonical == other.canonical

    def __hash__(self) -> int:
        return hash(self.canonical)


@dataclass(frozen=True)
class Recipe:
    """A named list of operators that turns a picture into a vector of `dimension` float32."""

    name: str
    operators: tuple[Operator, ...]
    dimension: int

    def __iter__(self) -> Iterator[Operator]:
        return iter(self.operators)

    @property
    def fingerprint(self) -> str:
        """SHA-256, 64 hex digits, of the canonical JSON of the operators in order."""
        canonical = "[" + ",".join(operator.canonical for operator in self.operators) + "]"
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain JSON types."""
        return {
            "name": self.name,
            "dimension": self.dimension,
            "operators": [operator.to_dict() for operator in self.operators],
        }

    def to_json(self) -> str:
        """Return the recipe as JSON text; `from_json` reads it."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Recipe":
        """Read what `to_dict` returned. Raises `RecipeError` when it is malformed."""
        try:
            name, dimension = data["name"], data["dimension"]
            operators = tuple(
                Operator.of(item["name"], item["version"], item.get("parameters"))
                for item in data["operators"]
            )
            unknown = set(data) - {"name", "dimension", "operators"}
            for item in data["operators"]:
                unknown |= set(item) - {"name", "version", "parameters"}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecipeError(
                "A recipe is an object with 'name', 'dimension' and 'operators', each operator "
                f"with 'name', 'version' and 'parameters'; this one is not ({error!r})."
            ) from error
        if unknown:
            raise RecipeError(f"A recipe has no {', no '.join(sorted(map(repr, unknown)))}.")
        if not isinstance(name, str) or not operators:
            raise RecipeError("A recipe needs a name and at least one operator.")
        if isinstance(dimension, bool) or not isinstance(dimension, int) or dimension < 1:
            raise RecipeError(f"A recipe's dimension must be 1 or more, not {dimension!r}.")
        return cls(name, operators, dimension)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Recipe":
        """Read what `to_json` returned. Raises `RecipeError` when it is malformed."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise RecipeError(f"A recipe must be JSON: {error}.") from error
        if not isinstance(data, dict):
            raise RecipeError("A recipe must be a JSON object.")
        return cls.from_dict(data)


Parameters = Mapping[str, object]

_DECODE: Parameters = {"orientation": "exif", "color": "srgb", "background": "#ffffff"}


def _recipe(
    name: str,
    card: cards.ModelCard,
    decode: Parameters,
    transform: Operator,
    pooling: str | None = None,
) -> Recipe:
    """Decode, transform, pool the model's last features, normalize to unit length."""
    return Recipe(
        name=name,
        dimension=card.dimension,
        operators=(
            Operator.of("image_decode.pillow", 1, {**_DECODE, **decode}),
            transform,
            Operator.of(
                "image_embedding.timm",
                1,
                {
                    "architecture": card.architecture,
                    "weights_sha256": card.sha256,
                    "mean": card.mean,
                    "std": card.std,
                    "layer": "features",
                    "pooling": pooling or card.pooling,
                },
            ),
            Operator.of("normalize.l2", 1),
        ),
    )


def _crop(card: cards.ModelCard, kind: str = "resize_center_crop", **more: object) -> Operator:
    """Pillow's antialiased resize, followed by a crop."""
    parameters = {
        "size": card.input_size,
        "crop_pct": card.crop_pct,
        "interpolation": card.interpolation,
        "antialias": True,
    }
    return Operator.of(f"image_transform.{kind}", 1, {**parameters, **more})


def _draft(card: cards.ModelCard) -> Parameters:
    """Parameters that decode JPEGs at a reduced scale, with twice the pixels the resize needs."""
    return {"draft_short_side": 2 * math.floor(card.input_size / card.crop_pct)}


def _exact(name: str, card: cards.ModelCard) -> Recipe:
    """The reference recipe of a model: full decoding and resizing, as timm does it."""
    return _recipe(name, card, {}, _crop(card))


def _fast(name: str, card: cards.ModelCard) -> Recipe:
    """Decodes large JPEGs at a reduced scale and resizes only the cropped area."""
    return _recipe(name, card, _draft(card), _crop(card, crop_first=True))


def _gem(name: str, card: cards.ModelCard) -> Recipe:
    """Like fast, with generalized-mean pooling, which weighs strong activations more."""
    return _recipe(name, card, _draft(card), _crop(card, crop_first=True), "gem")


def _five_crop(name: str, card: cards.ModelCard) -> Recipe:
    """Mean of the four corner crops and the centre crop, each pooled like `gem`: five passes."""
    return _recipe(name, card, _draft(card), _crop(card, "five_crop"), "gem")


def _beside_texts(name: str, card: cards.ModelCard) -> Recipe:
    """Like fast, in the space that the model shares with texts."""
    return text_recipe(_fast(name, card), name)


def text_recipe(image: Recipe, name: str | None = None) -> Recipe:
    """Return the recipe whose vectors, from the same pixels and network, are in a text space.

    `image` is a recipe with `image_embedding.timm`. The name defaults to its name with the
    variant appended. Raises `RecipeError` for another recipe, and for a model without a text
    space.
    """
    place = next((at for at, one in enumerate(image) if one.name == "image_embedding.timm"), None)
    if place is None:
        raise RecipeError(f"The recipe {image.name!r} has no image_embedding.timm.")
    parameters = dict(image.operators[place].parameters)
    card = cards.card_for_weights(str(parameters["weights_sha256"]))
    operator = constants.text_operator(card)
    if operator is None:
        raise _without_texts(card)
    more = constants.CONCEPTS_SIDE if operator == constants.CONCEPTS else {}
    settings = {key: value for key, value in parameters.items() if key not in ("layer", "pooling")}
    result = Recipe(
        name=name or f"{image.name}:{constants.VARIANTS[operator]}",
        dimension=constants.text_dimension(card, operator),
        operators=(
            *image.operators[:place],
            Operator.of(operator, 1, {**settings, **more}),
            Operator.of("normalize.l2", 1),
        ),
    )
    named = f"{_PREFIX}{card.name}:{constants.VARIANTS[operator]}"
    if name is None and result.fingerprint == recipe(named).fingerprint:
        return recipe(named)
    return result


def _without_texts(card: cards.ModelCard) -> RecipeError:
    return RecipeError(
        f"{card.name} has no space of texts: its head is neither a classifier of ImageNet's 1000 "
        "classes, which concepts need, nor a projection beside a text tower."
    )


_PREFIX = "image-embedding-"
_Variants = Mapping[str, Callable[[str, cards.ModelCard], Recipe]]
_VARIANTS: _Variants = {"": _fast, "exact": _exact}
# Measured on convolutional models, whose own pooling is the average (docs/benchmarks.md).
_VARIANTS_OF_MAPS: _Variants = {**_VARIANTS, "gem": _gem, "five-crop": _five_crop}


def _variants(model: str) -> _Variants:
    try:
        card = cards.model_card(model)
    except WeightsError:  # do not hide other models; loading this one reports it
        return _VARIANTS
    base = _VARIANTS_OF_MAPS if card.pooling == "avg" else _VARIANTS
    operator = constants.text_operator(card)
    return base if operator is None else {**base, constants.VARIANTS[operator]: _beside_texts}


def names() -> tuple[str, ...]:
    """Return the sorted names that `recipe` accepts: one per model card and variant."""
    return tuple(
        sorted(
            f"{_PREFIX}{model}{':' if variant else ''}{variant}"
            for model in cards.names()
            for variant in _variants(model)
        )
    )


def recipe(name: str = DEFAULT_PIPELINE) -> Recipe:
    """Return the recipe "image-embedding-MODEL" or "image-embedding-MODEL:VARIANT".

    Without a variant, JPEGs are decoded at a reduced scale where that suffices; `exact` is the
    reference. Models that average a feature map also have `gem` and `five-crop`. Vectors of
    `concepts` (models with ImageNet's classes) and `text` (models with a text tower) are
    comparable with those of texts. Raises `UnknownName` with the nearest names, `RecipeError`
    for `concepts` or `text` of a model that does not support it, and `WeightsError` when the
    model's weights are missing.
    """
    model, _, variant = str(name).removeprefix(_PREFIX).partition(":")
    if name not in names():
        if variant in constants.VARIANTS.values() and f"{_PREFIX}{model}" in names():
            operator = next(key for key, one in constants.VARIANTS.items() if one == variant)
            constants.check_able(cards.model_card(model), operator)
        raise UnknownName("pipeline", name, names())
    return _variants(model)[variant](name, resolve(cards.model_card(model)))
