"""User models: add a checkpoint, fetch a hub model's weights, remove a model."""

import dataclasses
import hashlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embeddings.errors import EmbeddingsError, InputError, RecipeError, UnknownName, WeightsError
from embeddings.models import cards, models_folder
from embeddings.models.builtin_cards import SHIPPED
from embeddings.models.card_schema import (
    IMAGENET,
    TEXT_TOWERS,
    FileWeights,
    HubWeights,
    ModelCard,
)
from embeddings.models.checkpoints import is_safetensors, tensors
from embeddings.models.hub import downloaded
from embeddings.models.timm_import import timm
from embeddings.models.weights import fitted, pinned, read_weights, register, weights_path
from embeddings.operators.transform import short_side

INTERPOLATIONS = ("bilinear", "bicubic", "lanczos")
_IMAGENET_CLASSES = 1000
# timm's defaults when an architecture does not define them.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def add_model(
    path: str | os.PathLike[str],
    architecture: str | None = None,
    *,
    name: str | None = None,
    licence: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    input_size: int | None = None,
    interpolation: str | None = None,
    crop_pct: float | None = None,
    text_tower: str | None = None,
) -> ModelCard:
    """Add a local checkpoint; `model_card(name)` finds it from then on, in every process.

    `path` is a .safetensors or `torch.save` file, also as wrapped by training scripts; its tensors
    must be exactly those of the timm `architecture`, under timm's names or the original authors',
    with a classifier of any size or none. The file is copied into the models folder. Defaults are
    timm's for the architecture, or for its tag if the name has one ('resnet50.a1_in1k'); the
    default name is made of architecture and digest. With the name of a built-in hub model no
    other arguments are given: the file is then used as that model's weights.

    A classifier of 1,000 classes is assumed to be ImageNet's, in timm's order, as in
    `image_classification.timm`. `text_tower` ('clip' or 'siglip') says that the model's head is
    the projection into the space of such a text tower.

    Raises `InputError` for invalid arguments, `UnknownName` for an architecture that timm does not
    have, `WeightsError` for a file that is missing, damaged, unsafe or does not fit, and when the
    name belongs to other weights (`model_exists`).
    """
    data = _read(Path(path))
    sha256 = hashlib.sha256(data).hexdigest()
    settings = {
        "licence": licence,
        "mean": mean,
        "std": std,
        "input_size": input_size,
        "interpolation": interpolation,
        "crop_pct": crop_pct,
        "text_tower": text_tower,
    }
    settings = {key: value for key, value in settings.items() if value is not None}
    shipped = SHIPPED.get(name or "")
    if shipped is not None:
        draft = _of_shipped(shipped, architecture, settings)
    else:
        draft = _of_timm(architecture, name, sha256, settings)
    kind = "safetensors" if is_safetensors(data) else "pth"
    file = FileWeights(str(models_folder.models_folder() / f"{sha256}.{kind}"))
    state = tensors(data, Path(path).name)
    card = _checked(dataclasses.replace(draft, weights=file, sha256=sha256), state)
    _refuse_other(card)
    models_folder.write_file(Path(file.path).name, data)
    return register(card)


def fetch_model(name: str) -> ModelCard:
    """Download the model's weights if they are missing, and return its resolved card.

    A hub model's file is downloaded into the hub's local cache, unless it is there or
    HF_HUB_OFFLINE is set; it is loaded as a check, and its digest saved. No other function for
    models downloads. Raises `UnknownName` and `WeightsError` (`weights_missing` when the file
    is not available).
    """
    card = cards.model_card(name)
    if not isinstance(card.weights, HubWeights):
        weights_path(card)
        return card
    path = _download(card, card.weights)
    data = _read(path)
    sha256 = hashlib.sha256(data).hexdigest()
    if card.sha256 is not None:
        read_weights(path, card.sha256)
        return card
    card = dataclasses.replace(card, weights=pinned(card.weights, path), sha256=sha256)
    return register(_checked(card, tensors(data, path.name)))


def remove_model(name: str) -> None:
    """Remove a model from the models folder, including its file there.

    For a built-in hub model only the saved digest is removed; the hub's own cache is unchanged.
    Raises `UnknownName`, and `InputError` for a model that is not in the folder.
    """
    if name not in models_folder.saved_names():
        if name in SHIPPED:
            raise InputError(f"{name} comes with the library; there is nothing to remove.")
        raise UnknownName("model", name, cards.names())
    models_folder.remove_card(name)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            "weights_missing", f"Cannot read the weights file {path} ({error.strerror})."
        ) from error


def _download(card: ModelCard, source: HubWeights) -> Path:
    instead = (
        "bring the file here and run "
        f"'python -m embeddings add-model --name {card.name} --from FILE'."
    )
    return downloaded(source.repository, source.file, source.revision, instead)


def _of_shipped(card: ModelCard, architecture: str | None, settings: dict[str, Any]) -> ModelCard:
    """Return the built-in card, for a file given as its weights."""
    if not isinstance(card.weights, HubWeights):
        raise WeightsError(
            "model_exists", f"{card.name} comes with its weights; choose another name."
        )
    if settings or (architecture or card.architecture).partition(".")[0] != card.architecture:
        raise InputError(
            f"{card.name} is a model that the library knows; only its weights file can be given. "
            "Choose another name for another architecture or other settings."
        )
    return card


def _of_timm(
    architecture: str | None, name: str | None, sha256: str, settings: dict[str, Any]
) -> ModelCard:
    """Return a card of the given values, completed with timm's settings for the architecture."""
    if architecture is None:
        raise InputError("An architecture is needed, by the name that timm gives it.")
    facts = _facts(architecture)
    bare = architecture.partition(".")[0]
    name = models_folder.check_name(f"{bare}-{sha256[:8]}".lower() if name is None else name)
    return ModelCard(
        name=name,
        architecture=bare,
        weights=FileWeights(""),
        sha256=sha256,
        licence=str(settings.get("licence", "unknown")),
        dimension=0,
        input_size=_size(settings.get("input_size", facts.input_size[1])),
        mean=_three("mean", settings.get("mean", facts.mean or _MEAN)),
        std=_three("std", settings.get("std", facts.std or _STD), above_zero=True),
        interpolation=_interpolation(settings.get("interpolation"), facts.interpolation),
        crop_pct=_crop(settings.get("crop_pct", facts.crop_pct or 1.0)),
        head=_tower(settings.get("text_tower")),
    )


def _facts(architecture: str) -> Any:
    """Return timm's settings for an architecture, with or without a tag."""
    # Checked before create_model, which would access the hub for a name like "hf-hub:...".
    bare, _, tag = architecture.partition(".")
    if not timm().is_model(bare):
        raise UnknownName("timm architecture", bare, timm().list_models())
    if not tag:
        return timm().get_pretrained_cfg(bare) or timm().models.PretrainedCfg()
    tagged = timm().list_pretrained(f"{bare}.*")
    if architecture not in tagged:
        raise UnknownName("timm architecture", architecture, tagged)
    return timm().get_pretrained_cfg(architecture)


def _size(size: Any) -> int:
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 4096:
        raise InputError(f"input_size is a side in pixels, 1 to 4096; not {size!r}.")
    return size


def _three(
    what: str, values: Sequence[float], above_zero: bool = False
) -> tuple[float, float, float]:
    try:
        red, green, blue = (float(value) for value in values)
    except (TypeError, ValueError):
        red = green = blue = math.nan
    three = (red, green, blue)
    if not all(map(math.isfinite, three)) or (above_zero and min(three) <= 0):
        raise InputError(
            f"{what} is three numbers on a scale of 0 to 1{', above 0' if above_zero else ''}; "
            f"not {values!r}."
        )
    return three


def _interpolation(name: str | None, usual: str) -> str:
    if name is None:
        return usual if usual in INTERPOLATIONS else "bicubic"
    if name not in INTERPOLATIONS:
        raise UnknownName("interpolation", name, INTERPOLATIONS)
    return name


def _tower(kind: str | None) -> str | None:
    if kind is not None and kind not in TEXT_TOWERS:
        raise UnknownName("kind of text tower", kind, TEXT_TOWERS)
    return kind


def _crop(crop_pct: Any) -> float:
    try:
        short_side(1, crop_pct)
    except RecipeError as error:
        raise InputError(error.detail) from error
    return float(crop_pct)


def _checked(card: ModelCard, state: dict[str, Any]) -> ModelCard:
    """Return the card completed with the values found by loading it. Raises `WeightsError`."""
    from embeddings.models import inspection

    try:
        model, renaming = fitted(state, card.architecture, None, card.input_size), None
    except WeightsError as error:
        try:
            # The original authors' names, or position embeddings of another size.
            model, renaming = fitted(state, card.architecture, "timm", card.input_size), "timm"
        except WeightsError:
            raise error from None
    pooling, dimension = inspection.pooling_and_dimension(model, card.input_size)
    if card.name in SHIPPED:
        return dataclasses.replace(card, renaming=renaming)
    head = card.head or (IMAGENET if model.num_classes == _IMAGENET_CLASSES else None)
    return dataclasses.replace(
        card,
        renaming=renaming,
        pooling=pooling,
        dimension=dimension,
        layers=inspection.layers(model),
        head=head,
        head_dimension=(model.num_classes or dimension) if head else 0,
    )


def _refuse_other(card: ModelCard) -> None:
    """Raise `WeightsError` (`model_exists`) when the name belongs to another model."""
    try:
        there = cards.model_card(card.name)
    except EmbeddingsError:
        return
    if there.sha256 is not None and there != card:
        raise WeightsError(
            "model_exists",
            f"There is another model {card.name} already; remove it first "
            f"('python -m embeddings remove-model {card.name}') or choose another name.",
        )
