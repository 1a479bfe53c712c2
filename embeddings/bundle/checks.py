"""Validation of bundle rows: ids, metadata and vectors."""

import hashlib
import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import InputError

MAX_ID_BYTES = 65_535  # bytes of UTF-8
MAX_METADATA_BYTES = 2**20
_FAR_FROM_UNIT = 1e-3
_MAX_DEPTH = 64


class Seen:
    """The ids seen so far. Only digests are kept, so that memory hardly grows."""

    def __init__(self) -> None:
        self._digests: set[bytes] = set()

    def added(self, ids: Sequence[str]) -> None:
        """Add ids. Raises `InputError` when one is a duplicate; no id is added then."""
        fresh: set[bytes] = set()
        for one in ids:
            digest = hashlib.blake2b(one.encode(), digest_size=16).digest()
            if digest in self._digests or digest in fresh:
                raise InputError(f"The id {_shown(one)} is there twice; ids are unique.")
            fresh.add(digest)
        self._digests |= fresh


def check_ids(ids: Any) -> None:
    """Raises `InputError` when an id is not a string that every format can store."""
    if isinstance(ids, str | bytes) or not isinstance(ids, Sequence):
        raise InputError(f"ids are a list of texts, not {type(ids).__name__}.")
    for one in ids:
        if not isinstance(one, str) or not one or "\0" in one:
            raise InputError(f"An id is a text, not empty and without NUL; not {_shown(one)}.")
        try:
            size = len(one.encode())
        except UnicodeEncodeError:
            raise InputError(f"The id {_shown(one)} is no Unicode text.") from None
        if size > MAX_ID_BYTES:
            raise InputError(f"The id {_shown(one)} has {size:,} bytes; {MAX_ID_BYTES:,} at most.")


def check_vectors(vectors: Any, ids: Sequence[str], dimension: int | None) -> NDArray[np.float32]:
    """The vectors, float32 (N, D). Raises `InputError`, naming the id, when one is invalid."""
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.dtype != np.float32:
        actual = (
            f"{vectors.dtype} of shape {vectors.shape}"
            if isinstance(vectors, np.ndarray)
            else type(vectors).__name__
        )
        raise InputError(f"Vectors are a float32 array (N, D), not {actual}.")
    if len(vectors) != len(ids):
        raise InputError(f"There are {len(ids)} ids and {len(vectors)} vectors; one for each.")
    if vectors.shape[1] != dimension if dimension else not vectors.shape[1]:
        raise InputError(
            f"The vectors of this bundle have {dimension or 1} dimensions"
            f"{'' if dimension else ' or more'}, not {vectors.shape[1]}."
        )
    place = not_unit(vectors)
    if place is not None:
        raise InputError(
            f"The vector of {_shown(ids[place])} is not of unit length: it is "
            f"{np.linalg.norm(vectors[place].astype(np.float64)):.4g} long. Vectors of a bundle "
            "are finite and scaled by normalize.l2."
        )
    return vectors


def not_unit(vectors: NDArray[np.float32]) -> int | None:
    """The index of the first vector of (N, D) that is not finite or not of unit length."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", vectors, vectors)
        # NaN compares false with everything.
        good = np.abs(np.sqrt(squares) - 1) <= _FAR_FROM_UNIT
    return None if good.all() else int(np.argmin(good))


def metadata_texts(metadata: Any, ids: Sequence[str]) -> list[str]:
    """Each metadata row as JSON text. Raises `InputError`, naming the id, when one is invalid."""
    if metadata is None:
        return ["{}"] * len(ids)
    if isinstance(metadata, str | bytes | Mapping) or not isinstance(metadata, Sequence):
        raise InputError(
            f"Metadata are a list with a dictionary for each id, not {type(metadata).__name__}."
        )
    if len(metadata) != len(ids):
        raise InputError(f"There are {len(ids)} ids and {len(metadata)} rows of metadata.")
    return [_metadata_text(row, one) for row, one in zip(metadata, ids, strict=True)]


def _metadata_text(row: Any, one: str) -> str:
    requirement = (
        "is a dictionary of plain JSON values: texts, finite numbers, true, false, null, lists, "
        "and dictionaries whose keys are texts"
    )
    if not isinstance(row, Mapping):
        raise InputError(f"The metadata of {_shown(one)} {requirement}; not {type(row).__name__}.")
    try:
        text = json.dumps(_plain(row, 0), ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError) as error:  # also lone surrogates, too long numbers
        raise InputError(f"The metadata of {_shown(one)} {requirement} ({error}).") from error
    if size > MAX_METADATA_BYTES:
        raise InputError(
            f"The metadata of {_shown(one)} have {size:,} bytes; {MAX_METADATA_BYTES:,} at most."
        )
    return text


def _plain(value: Any, depth: int) -> Any:
    """The value with tuples turned into lists.

    Raises `TypeError` or `ValueError` when it is not plain JSON.
    """
    if depth > _MAX_DEPTH:
        raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"a key is {reprlib.repr(key)}")
        return {key: _plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, depth + 1) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a number is {value}")
    # Exact types only: numpy.float64 is a subclass of float.
    if value is None or type(value) in (str, bool, int, float):
        return value
    raise TypeError(f"a value is of type {type(value).__name__}")


def _shown(one: object) -> str:
    return reprlib.repr(one)
