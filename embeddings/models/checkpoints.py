"""Checkpoint reading: bytes to named tensors, as data only, without running code."""

import argparse
import io
import pickle
import re
from collections.abc import Mapping
from typing import Any

from embeddings.errors import WeightsError

# Keys under which training scripts store tensors; averaged (EMA) weights come first, as in timm.
_WRAPPERS = (
    "state_dict_ema",
    "model_ema",
    "state_dict",
    "model_state_dict",
    "model",
    "module",
)
_MAX_WRAPPERS = 4
# Prefixes that wrappers (data parallel, compiled, Lightning) add to every name.
_PREFIXES = ("module.", "_orig_mod.", "model.")

# Message of torch's restricted unpickler for a pickle that refers to forbidden names.
_UNSAFE = re.compile(r"unsupported global|can only (create|build)|trying to call reduce", re.I)


def is_safetensors(data: bytes) -> bool:
    """Whether the bytes begin like a .safetensors file."""
    length = int.from_bytes(data[:8], "little")
    return data[8:9] == b"{" and length >= 2


def tensors(data: bytes, name: str) -> dict[str, Any]:
    """Return the tensors of a checkpoint by name; `name` is the file's, for messages.

    Accepts .safetensors and `torch.save` files, detected by content. Raises `WeightsError`:
    `weights_unsafe` for a pickle that would run code, `weights_damaged` for a truncated or invalid
    file, `weights_mismatch` for a checkpoint with something other than tensors.
    """
    return unwrap(_safetensors(data, name) if is_safetensors(data) else _torch(data, name), name)


def _safetensors(data: bytes, name: str) -> Any:
    import safetensors
    import safetensors.torch

    try:
        return safetensors.torch.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(
            "weights_damaged", f"{name} is no whole .safetensors file: {error}."
        ) from error


def _torch(data: bytes, name: str) -> Any:
    import torch

    try:
        # timm's training script stores its arguments in a Namespace, which is data as well.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles raise arbitrary exceptions
        if isinstance(error, pickle.UnpicklingError) and _UNSAFE.search(str(error)):
            raise WeightsError(
                "weights_unsafe",
                f"{name} is a pickle that would run code when it is opened, which is never done; "
                "save the model's state_dict() alone, best as .safetensors.",
            ) from error
        raise WeightsError(
            "weights_damaged",
            f"{name} is no whole checkpoint: neither .safetensors nor what torch.save writes.",
        ) from error


def unwrap(loaded: Any, name: str) -> dict[str, Any]:
    """Return the tensors in a training script's checkpoint, without prefixes of wrappers.

    Raises `WeightsError` (`weights_mismatch`) when there is something other than tensors.
    """
    for _ in range(_MAX_WRAPPERS):
        if not isinstance(loaded, Mapping):
            break
        inner = (loaded[key] for key in _WRAPPERS if isinstance(loaded.get(key), Mapping))
        nested = next(inner, None)
        if nested is None:
            break
        loaded = nested
    if not isinstance(loaded, Mapping) or not loaded:
        raise WeightsError("weights_mismatch", f"{name} holds no tensors by name.")
    for key, value in loaded.items():
        if not isinstance(key, str) or not _is_plain(value):
            raise WeightsError(
                "weights_mismatch",
                f"{name} holds {key!r}, which is no tensor; save the model's state_dict() alone.",
            )
    state = dict(loaded)
    while prefix := next((p for p in _PREFIXES if all(key.startswith(p) for key in state)), None):
        state = {key[len(prefix) :]: value for key, value in state.items()}
    return state


def _is_plain(value: Any) -> bool:
    """Whether it is a dense tensor with as many numbers as its shape claims."""
    import torch

    if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
        return False
    return value.untyped_storage().nbytes() >= value.numel() * value.element_size()
