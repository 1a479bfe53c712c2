"""Shared helpers of text encoders: optional packages, argument checks, tokenizers, files."""

import hashlib
import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import InputError, PackageMissing, WeightsError

_WAY = "pip install -r requirements/text.txt, or the extra 'text' of lookalike-embeddings"
# Texts encoded per batch; shorter ones are padded to the longest.
AT_ONCE = 16


def needed(package: str) -> ModuleType:
    """Return the module of that name. Raises `PackageMissing`, which says how to install it."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.partition(".")[0]:
            raise
        raise PackageMissing(
            f"Text needs the package {error.name}, which is not installed: {_WAY}"
        ) from error


def missing(distribution: str) -> PackageMissing:
    """Return the error for a package that is not installed."""
    return PackageMissing(f"Text needs the package {distribution}, which is not installed: {_WAY}")


def checked(texts: Sequence[Any]) -> list[str]:
    """Return the texts. Raises `InputError` for non-strings, blank texts, and characters that
    cannot be encoded (half of a surrogate pair)."""
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"A text must be a string, not {type(text).__name__} (at {place}).")
        if not text.strip():
            raise InputError(f"A text must hold a word or more; the one at {place} is empty.")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"The text at {place} is not valid Unicode: {error}.") from error
    return list(texts)


def tokenizer(data: bytes, name: str, most: int) -> Any:
    """Return a tokenizer of `tokenizers` that truncates to `most` tokens.

    Raises `PackageMissing`, and `WeightsError` (`weights_damaged`) for an invalid file.
    """
    module = needed("tokenizers")
    try:
        loaded = module.Tokenizer.from_buffer(data)
    except Exception as error:  # the package raises plain exceptions
        raise WeightsError("weights_damaged", f"{name} is no tokenizer: {error}.") from error
    loaded.enable_truncation(most)
    return loaded


def read(path: Path, sha256: str | None, way: str) -> bytes:
    """Return a file of an encoder, its digest checked. Raises `WeightsError` with `way` as hint."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            "weights_missing", f"Cannot read {path} ({error.strerror}): {way}"
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if sha256 not in (None, digest):
        raise WeightsError(
            "weights_mismatch",
            f"{path.name} has SHA-256 {digest}, but {sha256} is expected: {way}",
        )
    return data


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Rows of unit length, float32 (N, D)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled
