"""Row helpers for sinks and display: columns, failed rows, pictures, scalars."""

import datetime
import os
import sys
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import numpy as np

from embeddings.errors import InputError
from embeddings.flow.collection.empty import told

# The column of rows that are not dictionaries.
VALUE = "value"


def columns_of(row: Any, number: int) -> Mapping[str, Any]:
    """The columns of row `number` (counted from 1): those of a dictionary, else one, "value".

    Raises `InputError` when the row has failed, or when a key cannot name a column.
    """
    refuse_failed(row, number)
    if not isinstance(row, Mapping):
        return {VALUE: row}
    if not row:
        raise InputError(f"Row {number} is a dictionary without a column.")
    for name in row:
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"A column's name must be text; row {number} has {name!r}.")
    return row


def is_failed(row: Any) -> bool:
    """Whether this is a failed row of a safe collection."""
    return hasattr(row, "exception") and hasattr(row, "input")


def refuse_failed(row: Any, number: int) -> None:
    """Raises `InputError` when the row has failed; `number` counts from 1."""
    if is_failed(row):
        reason = told(row.exception).rstrip(".")
        raise InputError(f"Row {number} has failed: {reason}. Drop the empty rows first.")


def is_picture(value: Any) -> bool:
    """Whether this is a PIL image or an array of pixels, uint8 (H, W, 3)."""
    if isinstance(value, np.ndarray):
        return value.dtype == np.uint8 and value.ndim == 3 and value.shape[2] == 3
    # If Pillow is not imported, no value can be a PIL image.
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)


def plain(value: Any) -> Any:
    """Python scalars for numpy scalars, text for paths and UUIDs; other values unchanged."""
    if isinstance(value, np.datetime64):
        return value.astype("datetime64[us]").item()
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return plain(value[()])
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, UUID):
        return str(value)
    return value


def is_time(value: Any) -> bool:
    """Whether this is a date, a time of day, or both."""
    return isinstance(value, datetime.date | datetime.time)


def wrong(column: str, number: int, reason: str) -> InputError:
    """The error for a value that cannot be stored in its column."""
    return InputError(f"Column {column!r} of row {number} {reason}.")


PICTURE = "is a picture, which goes into no table; take its path or its vector instead"
"""Why a picture is refused."""
