"""Normalization of vectors."""

import numpy as np
from numpy.typing import NDArray


class L2:
    """`normalize.l2`: scale each row to unit length."""

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (N, D) to float32 (N, D). A row of zeros stays zeros, never NaN."""
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: NDArray[np.float32] = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
        return unit
