"""From the bytes of a checkpoint to named tensors: as data only, never as code."""

import argparse
import io
import pickle
import re
from collections.abc import Mapping
from typing import Any

from embeddings.errors import WeightsError

# Where training scripts put the tensors inside of a checkpoint; the smoothed ones come first,
# as they do for timm.
_WRAPPERS = (
    "state_dict_ema",
    "model_ema",
    "state_dict",
    "model_state_dict",
    "model",
    "module",
)
_MAX_WRAPPERS = 4
# What wrapped models (data parallel, compiled, Lightning) put before every name.
_PREFIXES = ("module.", "_orig_mod.", "model.")

# What torch's restricted unpickler says of a pickle that names what it may not call.
_UNSAFE = re.compile(r"unsupported global|can only (create|build)|trying to call reduce", re.I)


def is_safetensors(data: bytes) -> bool:
    """Whether the bytes begin as a .safetensors file does."""
    length = int.from_bytes(data[:8], "little")
    return data[8:9] == b"{" and length >= 2


def tensors(data: bytes, name: str) -> dict[str, Any]:
    """The tensors of a checkpoint by name; `name` is the file's, for messages.

    Takes .safetensors and what `torch.save` wrote, told apart by content. Raises `WeightsError`:
    `weights_unsafe` for a pickle that would run code, `weights_damaged` for a file that ends
    early or is no checkpoint, `weights_mismatch` for one that holds something else than tensors.
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
        # timm's training script keeps its arguments in a Namespace, which is data as well.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles fail in as many ways as there are operations
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
    """The tensors that a training script's checkpoint holds, their names without wrappers.

    Raises `WeightsError` (`weights_mismatch`) where there is something else than tensors.
    """
    for _ in range(_MAX_WRAPPERS):
        if not isinstance(loaded, Mapping):
            break
        inner = (loaded[key] for key in _WRAPPERS if isinstance(loaded.get(key), Mapping))
        found = next(inner, None)
        if found is None:
            break
        loaded = found
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
    """Whether it is a dense tensor that has all the numbers which its shape claims."""
    import torch

    if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
        return False
    return value.untyped_storage().nbytes() >= value.numel() * value.element_size()
