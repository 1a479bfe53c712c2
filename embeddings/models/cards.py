"""Model card lookup by name: built-in cards and those in the models folder.

Imports no torch, so that any process can read cards.
"""

import dataclasses
import re

from embeddings.errors import RecipeError, UnknownName
from embeddings.models import models_folder
from embeddings.models.builtin_cards import SHIPPED
from embeddings.models.card_schema import (
    FileWeights,
    HubWeights,
    ModelCard,
    PackageWeights,
    Weights,
)

__all__ = [
    "FileWeights",
    "HubWeights",
    "ModelCard",
    "PackageWeights",
    "Weights",
    "card_for_weights",
    "model_card",
    "names",
]


def names() -> tuple[str, ...]:
    """Return the names of all cards, sorted."""
    return tuple(sorted({*SHIPPED, *models_folder.saved_names()}))


def model_card(name: str) -> ModelCard:
    """Return the card of that name.

    A hub model's card has the digest of its weights once they were resolved, None before.
    Raises `UnknownName` with the nearest names, and `WeightsError` (`card_damaged`).
    """
    shipped = SHIPPED.get(name)
    if shipped is not None and shipped.sha256 is not None:
        return shipped
    saved = models_folder.read_card(name)
    if saved is None:
        if shipped is None:
            raise UnknownName("model", name, names())
        return shipped
    if shipped is None:
        return saved
    # The saved card only identifies the file; everything else comes from the built-in card.
    return dataclasses.replace(
        shipped, weights=saved.weights, sha256=saved.sha256, renaming=saved.renaming
    )


def card_for_weights(sha256: str) -> ModelCard:
    """Return the card whose weights have this digest. Raises `RecipeError`, `UnknownName`."""
    if not isinstance(sha256, str) or re.fullmatch("[0-9a-f]{64}", sha256) is None:
        raise RecipeError(f"weights_sha256 must be 64 hexadecimal digits, not {sha256!r}.")
    for card in SHIPPED.values():
        if card.sha256 == sha256:
            return card
    saved = tuple(models_folder.saved_cards())
    for card in saved:
        if card.sha256 == sha256:
            return model_card(card.name)
    digests = (card.sha256 for card in (*SHIPPED.values(), *saved))
    raise UnknownName("weights", sha256, filter(None, digests))
