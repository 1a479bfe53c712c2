"""Provenance of the vectors of a bundle: the recipe as data, and the cards of its models."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embeddings.errors import EmbeddingsError, InputError, RecipeError
from embeddings.models.card_schema import HubWeights, PackageWeights, Weights
from embeddings.models.cards import card_for_weights
from embeddings.recipes import Recipe
from embeddings.recipes import recipe as recipe_named

if TYPE_CHECKING:
    from embeddings.flow.graph import Pipeline
    from embeddings.pipelines import ImagePipeline

    AnyRecipe = str | Recipe | ImagePipeline | Pipeline | Mapping[str, Any]


@dataclass(frozen=True)
class Provenance:
    """A recipe as plain JSON types, its fingerprint, and its dimension when known.

    The recipe of a graph pipeline keeps the form of a graph: columns and nodes.
    """

    recipe: dict[str, Any]
    fingerprint: str
    dimension: int | None
    runtime: str | None = None
    precision: str | None = None
    device: str | None = None


def provenance(recipe: "AnyRecipe") -> Provenance:
    """The provenance of vectors made by `recipe`.

    `recipe` is a `Recipe` or its name, an `ImagePipeline` (which also knows runtime, precision and
    device), a graph `Pipeline` with one output, or the dictionary of either kind of recipe.

    Raises `InputError` when it is anything else, `RecipeError` when a graph has no recipe or
    several outputs, and `UnknownName` when there is no recipe of that name.
    """
    if isinstance(recipe, str):
        recipe = recipe_named(recipe)
    if isinstance(recipe, Mapping):
        return _of_dictionary(recipe)
    if isinstance(recipe, Recipe):
        return Provenance(recipe.to_dict(), recipe.fingerprint, recipe.dimension)
    # Imported here so that writing the vectors of a recipe needs no image library.
    from embeddings.flow.graph import Pipeline
    from embeddings.pipelines import ImagePipeline

    if isinstance(recipe, ImagePipeline):
        own = recipe.recipe
        way = recipe.runtime, recipe.precision, recipe.device
        return Provenance(own.to_dict(), own.fingerprint, own.dimension, *way)
    if isinstance(recipe, Pipeline):
        return _of_graph(recipe.recipe)
    raise InputError(
        "The recipe of a bundle is a Recipe or its name, an ImagePipeline, a Pipeline, or a "
        f"dictionary; not {type(recipe).__name__}."
    )


def restored(recipe: Mapping[str, Any]) -> Recipe | dict[str, Any]:
    """The `Recipe` of a dictionary; for a graph, the dictionary itself.

    Raises `RecipeError` when it is malformed.
    """
    return Recipe.from_dict(recipe) if "operators" in recipe else dict(recipe)


def models(recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The card data of the models in a recipe, found by the digests of their weights.

    A model without a card has only its digest; the other fields are None.
    """
    digests = dict.fromkeys(_digests(recipe))
    return [_model(digest) for digest in digests]


def _of_dictionary(data: Mapping[str, Any]) -> Provenance:
    recipe = restored(data)
    if isinstance(recipe, Recipe):
        return Provenance(recipe.to_dict(), recipe.fingerprint, recipe.dimension)
    return _of_graph(recipe)


def _of_graph(data: dict[str, Any]) -> Provenance:
    from embeddings.flow.graph import serialization

    try:
        outputs = data["outputs"]
        fingerprint = serialization.fingerprint(data)
    except EmbeddingsError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise RecipeError(f"The recipe of this bundle is malformed ({error!r}).") from error
    if len(outputs) != 1:
        raise RecipeError(
            "The pipeline of a bundle has one output, the vector, so that its fingerprint is that "
            f"of the vectors; not {', '.join(map(str, outputs))}. Give it an output of its own."
        )
    return Provenance(data, fingerprint, None)


def _digests(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key.endswith("weights_sha256") and isinstance(inner, str):
                yield inner
            else:
                yield from _digests(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _digests(inner)


def _model(digest: str) -> dict[str, Any]:
    try:
        card = card_for_weights(digest)
    except EmbeddingsError:
        return dict.fromkeys(_MODEL) | {"sha256": digest}
    values = (
        card.name, card.architecture, card.licence, digest, card.dimension, _source(card.weights)
    )  # fmt: skip
    return dict(zip(_MODEL, values, strict=True))


_MODEL = ("name", "architecture", "licence", "sha256", "dimension", "source")


def _source(weights: Weights) -> str:
    """Where the weights can be downloaded; never a path of this machine."""
    if isinstance(weights, PackageWeights):
        return f"python package {weights.distribution}"
    if isinstance(weights, HubWeights):
        return f"hugging face {weights.repository}, {weights.file}, {weights.revision}"
    return "a local file"
