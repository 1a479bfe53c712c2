"""Normalization of vectors."""

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import RecipeError


class L2:
    """`normalize.l2`: scale each row to unit length."""

    light = True

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (N, D) to float32 (N, D). A row of zeros stays zeros, never NaN."""
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: NDArray[np.float32] = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
        return unit


class Power:
    """`normalize.power`: each component's size to the power `alpha`, its sign kept.

    Between 0 and 1 it keeps a few large components from deciding every similarity.
    """

    light = True

    def __init__(self, alpha: float = 0.5) -> None:
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha <= 1:
            raise RecipeError(f"alpha must be above 0, up to 1; not {alpha!r}.")
        self._alpha = np.float32(alpha)

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (N, D) to float32 (N, D). Zeros stay zeros."""
        powers: NDArray[np.float32] = np.sign(vectors) * np.abs(vectors) ** self._alpha
        return powers
