"""Image embeddings as a library: `from embeddings import pipeline`.

Importing this package is cheap: nothing of torch, timm or an image library is loaded until a
pipeline is built. The names below are looked up on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

from embeddings.version import __version__ as __version__

if TYPE_CHECKING:
    from embeddings import bundle, ops
    from embeddings.bundle import Bundle, BundleWriter
    from embeddings.bundle import load as load_bundle
    from embeddings.errors import BundleError, EmbeddingsError, ImageError, UnknownName
    from embeddings.flow.collection.data_collection import DataCollection
    from embeddings.flow.graph import Pipeline
    from embeddings.onnx.export import export_onnx
    from embeddings.pipelines import ImagePipeline, pipeline
    from embeddings.recipes import DEFAULT_PIPELINE, Recipe, recipe
    from embeddings.text.encoder import TextEncoder, text_encoder
    from embeddings.text.image_text import ImageText, ImageTextPipeline

__all__ = [
    "DEFAULT_PIPELINE",
    "Bundle",
    "BundleError",
    "BundleWriter",
    "DataCollection",
    "EmbeddingsError",
    "ImageError",
    "ImagePipeline",
    "ImageText",
    "ImageTextPipeline",
    "Pipeline",
    "Recipe",
    "TextEncoder",
    "UnknownName",
    "bundle",
    "export_onnx",
    "load_bundle",
    "ops",
    "pipeline",
    "recipe",
    "text_encoder",
]

# Where each public name lives: "module" for a module itself, "module:name" for a name in one.
_EXPORTS = {
    "DEFAULT_PIPELINE": "recipes:DEFAULT_PIPELINE",
    "Bundle": "bundle:Bundle",
    "BundleError": "errors:BundleError",
    "BundleWriter": "bundle:BundleWriter",
    "DataCollection": "flow.collection.data_collection:DataCollection",
    "EmbeddingsError": "errors:EmbeddingsError",
    "ImageError": "errors:ImageError",
    "ImagePipeline": "pipelines:ImagePipeline",
    "ImageText": "text.image_text:ImageText",
    "ImageTextPipeline": "text.image_text:ImageTextPipeline",
    "Pipeline": "flow.graph:Pipeline",
    "Recipe": "recipes:Recipe",
    "TextEncoder": "text.encoder:TextEncoder",
    "UnknownName": "errors:UnknownName",
    "bundle": "bundle",
    "export_onnx": "onnx.export:export_onnx",
    "load_bundle": "bundle:load",
    "ops": "ops",
    "pipeline": "pipelines:pipeline",
    "recipe": "recipes:recipe",
    "text_encoder": "text.encoder:text_encoder",
}


def __getattr__(name: str) -> Any:
    try:
        module, _, attribute = _EXPORTS[name].partition(":")
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value: Any = importlib.import_module(f"{__name__}.{module}")
    if attribute:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
