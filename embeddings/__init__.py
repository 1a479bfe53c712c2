"""Image embeddings as a library: `from embeddings import pipeline`.

Importing this package is cheap: nothing of torch, timm or an image library is loaded until a
pipeline is built. The names below are looked up on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embeddings.errors import EmbeddingsError, ImageError, UnknownName
    from embeddings.pipelines import ImagePipeline, pipeline
    from embeddings.recipes import DEFAULT_PIPELINE, Recipe, recipe

__all__ = [
    "DEFAULT_PIPELINE",
    "EmbeddingsError",
    "ImageError",
    "ImagePipeline",
    "Recipe",
    "UnknownName",
    "pipeline",
    "recipe",
]

_EXPORTS = {
    "DEFAULT_PIPELINE": "recipes",
    "EmbeddingsError": "errors",
    "ImageError": "errors",
    "ImagePipeline": "pipelines",
    "Recipe": "recipes",
    "UnknownName": "errors",
    "pipeline": "pipelines",
    "recipe": "recipes",
}


def __getattr__(name: str) -> Any:
    try:
        module = _EXPORTS[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
