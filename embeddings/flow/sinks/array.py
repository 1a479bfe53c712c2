"""Array sink: rows as one numpy array."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import InputError
from embeddings.flow.collection.rows import refuse_failed


def as_array(rows: Iterable[Any]) -> NDArray[Any]:
    """Vectors (D,) as one array (N, D), numbers as (N,), arrays (H, W, ...) as (N, H, W, ...).

    The dtype is that of the rows, or a common one. No rows give float32 (0,). Raises `InputError`,
    naming the row, when it is not numeric or its shape is not that of the first.
    """
    arrays: list[NDArray[Any]] = []
    for number, row in enumerate(rows, 1):
        array = _numbers(row, number)
        if arrays and array.shape != arrays[0].shape:
            raise InputError(
                f"Row {number} has the shape {array.shape}, but row 1 {arrays[0].shape}; the "
                "rows of an array have one shape."
            )
        arrays.append(array)
    return np.stack(arrays) if arrays else np.empty(0, np.float32)


def _numbers(row: Any, number: int) -> NDArray[Any]:
    refuse_failed(row, number)
    try:
        array = np.asarray(row)
    except (ValueError, TypeError) as error:  # lists of unequal lengths
        raise InputError(f"Row {number} makes no array: {error}.") from error
    if array.dtype.kind not in "biufc":
        raise InputError(
            f"Row {number} is no number or vector but {type(row).__name__}; take the column that "
            "holds the vectors first."
        )
    return array
