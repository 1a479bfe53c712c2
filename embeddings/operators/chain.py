"""The operators of a recipe as objects: decoder, transforms, model, normalizations."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import RecipeError
from embeddings.operators import registry
from embeddings.recipes import Recipe

# One decoder, transforms (the last ones may create views), one model, normalizations.
_TASKS = re.compile("image_decode (image_transform )+image_(text_)?embedding (normalize )+")


@dataclass(frozen=True)
class OperatorChain:
    """The operators of a recipe, built, in order."""

    decode: Any
    transforms: Sequence[Any]
    model: Any
    normalizations: Sequence[Callable[[NDArray[np.float32]], NDArray[np.float32]]]


def build_chain(recipe: Recipe, **options: Any) -> OperatorChain:
    """Build every operator of the recipe; `options` are extra arguments for the model.

    Raises `UnknownName` for an operator that does not exist, and `RecipeError` for operators
    that do not form a pipeline.
    """
    tasks = [operator.name.partition(".")[0] for operator in recipe.operators]
    # Checked first, because the message for an unknown operator is more helpful.
    for operator in recipe.operators:
        registry.find(operator)
    if not _TASKS.fullmatch("".join(f"{task} " for task in tasks)):
        raise RecipeError(
            "A pipeline is image_decode, image_transform, image_embedding (or "
            "image_text_embedding) and normalize, in this order (transforms and normalizations "
            f"once or more); the recipe {recipe.name!r} has {', '.join(tasks)}."
        )
    if recipe.operators[-1].name != "normalize.l2":
        raise RecipeError(
            "A pipeline gives vectors of unit length: its last operator is normalize.l2, "
            f"not {recipe.operators[-1].name}."
        )
    model = next(place for place, task in enumerate(tasks) if task.endswith("_embedding"))
    built = [
        registry.build(operator, options if place == model else None)
        for place, operator in enumerate(recipe.operators)
    ]
    if built[model].dimension != recipe.dimension:
        raise RecipeError(
            f"The recipe {recipe.name!r} says {recipe.dimension} dimensions, but its model "
            f"gives {built[model].dimension}."
        )
    return OperatorChain(built[0], built[1:model], built[model], built[model + 1 :])
