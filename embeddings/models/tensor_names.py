"""Renaming rules from a checkpoint's tensor names to those of a timm architecture."""

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from embeddings.errors import RecipeError, WeightsError

State = dict[str, Any]

# EfficientNet-Lite: the number of blocks in each stage; the checkpoint numbers them consecutively.
_LITE_STAGES: Mapping[str, tuple[int, ...]] = {
    "tf_efficientnet_lite0": (1, 2, 2, 3, 3, 4, 1),
    "tf_efficientnet_lite1": (1, 3, 3, 4, 4, 5, 1),
    "tf_efficientnet_lite2": (1, 3, 3, 4, 4, 5, 1),
}


def _lite_name(name: str, architecture: str) -> str:
    """Return the timm name of one tensor of an EfficientNet-Lite checkpoint.

    The checkpoint numbers its blocks consecutively, timm by stage and index. A block with
    expansion has convolutions (expand, depthwise, project) with _bn0 to _bn2; the first block has
    no expansion, so its norms begin at _bn1. timm counts its norms from bn1 in either case.
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


def _efficientnet_lite(state: State, architecture: str, model: Any) -> State:
    return {_lite_name(name, architecture): tensor for name, tensor in state.items()}


def _timm(state: State, architecture: str, model: Any) -> State:
    """Apply timm's own conversion of pretrained checkpoints of that family, if it has one.

    It maps the names of the original authors, and resizes position embeddings to the input size.
    """
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return state
    alone = len(inspect.signature(convert).parameters) == 1
    converted: State = convert(state) if alone else convert(state, model)
    return converted


_RULES: Mapping[str, Callable[[State, str, Any], State]] = {
    "efficientnet_lite": _efficientnet_lite,
    "timm": _timm,
}


def rename(state: State, rule: str | None, architecture: str, model: Any) -> State:
    """Return the tensors under the names of `model`, a timm model of `architecture`.

    Raises `RecipeError` for a rule that does not exist, and `WeightsError` (`weights_mismatch`)
    when the rule does not know a name.
    """
    if rule is None:
        return state
    if rule not in _RULES:
        raise RecipeError(f"There is no renaming {rule!r}; known are {', '.join(sorted(_RULES))}.")
    try:
        return _RULES[rule](dict(state), architecture, model)
    except Exception as error:  # timm's rules fail in many ways on foreign checkpoints
        raise WeightsError(
            "weights_mismatch",
            f"The checkpoint's tensor names are not those that rule {rule!r} knows for "
            f"{architecture} ({error!r}).",
        ) from error
