"""Vectors as text: the shortest decimals that parse to the same float32.

`json` and `repr` would write float64 digits, twice as long.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.bundle.optional_packages import needed


def texts(vectors: NDArray[np.float32]) -> list[str]:
    """Each vector (D,) of (N, D) as "[0.1,-0.2,...]"."""
    pa, compute = _packages()
    count, dimension = vectors.shape
    numbers = pa.array(np.ascontiguousarray(vectors).reshape(-1)).cast(pa.string())
    ends = pa.array(np.arange(0, count * dimension + 1, dimension, dtype=np.int32))
    joined = compute.binary_join(pa.ListArray.from_arrays(ends, numbers), ",")
    return [f"[{text}]" for text in joined.to_pylist()]


def vectors(texts: Sequence[str], dimension: int) -> NDArray[np.float32]:
    """Parse the output of `texts` to float32 (N, D). Raises `ValueError` when it is malformed."""
    pa, compute = _packages()
    if not all(text.startswith("[") and text.endswith("]") for text in texts):
        raise ValueError("a vector is no list")
    split = compute.split_pattern(pa.array([text[1:-1] for text in texts], pa.string()), ",")
    if not compute.all(compute.equal(compute.list_value_length(split), dimension)).as_py():
        raise ValueError(f"a vector has not {dimension} numbers")
    numbers: NDArray[np.float32] = split.flatten().cast(pa.float32()).to_numpy()
    return numbers.reshape(len(texts), dimension)


def _packages() -> tuple[Any, Any]:
    purpose = "A bundle as text"
    return needed("pyarrow", "pyarrow", purpose), needed("pyarrow.compute", "pyarrow", purpose)
