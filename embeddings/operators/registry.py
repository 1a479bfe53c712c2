"""Which class runs an operator of a recipe: `task.implementation` and version to class.

Classes are named by where they are and imported when first needed, so that knowing the names
costs no import of torch. A class is called with the operator's parameters as keywords.
"""

import importlib
import inspect
from typing import Any

from embeddings.errors import RecipeError, UnknownName
from embeddings.recipes import Operator

_CLASSES: dict[str, dict[int, str]] = {
    "image_decode.pillow": {1: "embeddings.operators.decode:PillowDecode"},
    "image_transform.resize_center_crop": {1: "embeddings.operators.transform:ResizeCenterCrop"},
    "image_embedding.timm": {1: "embeddings.operators.embed:TimmEmbedding"},
    "normalize.l2": {1: "embeddings.operators.normalize:L2"},
}


def names() -> tuple[str, ...]:
    """The names of all operators, sorted."""
    return tuple(sorted(_CLASSES))


def find(operator: Operator) -> str:
    """Where the class of `operator` is, as "module:name".

    Raises `UnknownName` for a name or version that is not registered.
    """
    versions = _CLASSES.get(operator.name)
    if versions is None:
        raise UnknownName("operator", operator.name, _CLASSES)
    place = versions.get(operator.version)
    if place is None:
        known = [f"{operator.name} version {version}" for version in versions]
        raise UnknownName("operator", f"{operator.name} version {operator.version}", known)
    return place


def build(operator: Operator) -> Any:
    """The object that runs `operator`.

    Raises `UnknownName` for a name or version that is not registered, and `RecipeError` where
    the parameters are not those that the operator takes.
    """
    module, _, name = find(operator).partition(":")
    make = getattr(importlib.import_module(module), name)
    try:
        inspect.signature(make).bind(**dict(operator.parameters))
    except TypeError as error:
        raise RecipeError(
            f"Operator {operator.name} does not take these parameters: {error}."
        ) from error
    return make(**dict(operator.parameters))
