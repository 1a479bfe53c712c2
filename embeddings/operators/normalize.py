"""Normalization of vectors: L2 and power."""

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import InputError, RecipeError

# Squares of shorter vectors lose precision or underflow in float32.
_SHORT = 1e-15
_TINY = np.finfo(np.float32).tiny


class L2:
    """`normalize.l2`: scale each row to unit length."""

    light = True
    concurrent = True

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (N, D) to float32 (N, D). A row of zeros stays zeros, never NaN.

        Raises `InputError` for another shape, and for NaN and infinities.
        """
        if vectors.ndim != 2:
            raise InputError(f"normalize.l2 takes vectors (N, D), not {vectors.shape}.")
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            unit: NDArray[np.float32] = vectors / np.maximum(lengths, _TINY)
        # Only these rows, so that vectors of ordinary length stay bit for bit the same.
        extreme = ((lengths < _SHORT) | ~np.isfinite(lengths))[:, 0]
        if extreme.any():
            unit[extreme] = _unit_of_extreme(vectors[extreme])
        return unit


def _unit_of_extreme(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    if not np.isfinite(largest).all():
        raise InputError("Vectors must hold finite numbers; these hold NaN or infinity.")
    scaled = vectors / np.where(largest > 0, largest, 1)
    unit: NDArray[np.float32] = scaled / np.maximum(
        np.linalg.norm(scaled, axis=1, keepdims=True), _TINY
    )
    return unit


class Power:
    """`normalize.power`: the magnitude of each component to the power `alpha`, sign kept.

    An `alpha` between 0 and 1 keeps a few large components from dominating similarities.
    """

    light = True
    concurrent = True

    def __init__(self, alpha: float = 0.5) -> None:
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha <= 1:
            raise RecipeError(f"alpha must be a number above 0, up to 1; not {alpha!r}.")
        self._alpha = np.float32(alpha)

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (N, D) to float32 (N, D). Zeros stay zeros."""
        powers: NDArray[np.float32] = np.sign(vectors) * np.abs(vectors) ** self._alpha
        return powers
