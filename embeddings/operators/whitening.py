"""PCA whitening: fit it on a sample of vectors, save it as a file, apply it.

The file is `.npz` or `.safetensors` with three float32 arrays: `mean` (D,), `components`
(K, D), rows of unit length, and `scale` (K,).
"""

import hashlib
import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import InputError, RecipeError, WeightsError

_ARRAYS = {"mean", "components", "scale"}

StrPath = str | os.PathLike[str]


class PcaWhitening:
    """`normalize.pca_whitening`: (x - mean) @ components.T * scale, from a fitted file.

    `sha256` is the digest of the file and defines what it does; its `path` is not part of the
    recipe. The result is not of unit length: follow it with `normalize.l2`.
    """

    light = True
    concurrent = True
    local = frozenset({"path"})

    @classmethod
    def canonical(cls, path: StrPath, sha256: str | None = None) -> dict[str, Any]:
        """Return the parameters for a file. Raises what `__init__` raises."""
        digest = hashlib.sha256(_read(path)).hexdigest()
        return {"path": path, "sha256": digest if sha256 is None else sha256}

    def __init__(self, sha256: str, path: StrPath | None = None) -> None:
        """Raises `WeightsError`: `weights_missing`, or `weights_mismatch` for another digest.

        Raises `RecipeError` when there is no valid path, as in a recipe that was read back.
        """
        if path is None:
            raise RecipeError(
                "normalize.pca_whitening needs the path of its file, which recipes do not hold: "
                'Pipeline.from_recipe(..., local={"normalize.pca_whitening": {"path": ...}}).'
            )
        data = _read(path)
        digest = hashlib.sha256(data).hexdigest()
        if digest != sha256:
            raise WeightsError(
                "weights_mismatch",
                f"The whitening file {path} has SHA-256 {digest}, but {sha256} is expected.",
            )
        self._mean, self._components, self._scale = _arrays(data, path)

    @property
    def dimension(self) -> int:
        """K, the length of the resulting vectors."""
        return len(self._scale)

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (N, D) to float32 (N, K). Raises `InputError` for another shape."""
        if vectors.ndim != 2 or vectors.shape[1] != len(self._mean):
            raise InputError(
                f"This whitening takes vectors (N, {len(self._mean)}), not {vectors.shape}."
            )
        white: NDArray[np.float32] = np.matmul(vectors - self._mean, self._components.T)
        white *= self._scale
        return white


def fit_pca_whitening(
    vectors: NDArray[np.float32], path: StrPath, dimension: int, eps: float = 1e-6
) -> str:
    """Fit a whitening to `dimension` components on vectors (N, D), save it, and return its digest.

    Each component is divided by the square root of its variance plus `eps` times the largest
    variance. The suffix of the path selects `.safetensors` or `.npz`; the same vectors give the
    same bytes. Raises `InputError` for fewer than two vectors, values that are not finite
    float32, a dimension outside 1 to min(N - 1, D), an `eps` that is not above 0, and another
    suffix; OSError when the file cannot be written.
    """
    ending = _ending(path)
    sample = _sample(vectors)
    _check_numbers(sample.shape, dimension, eps)
    mean = sample.mean(axis=0)
    centred = sample - mean
    variances, axes = np.linalg.eigh(centred.T @ centred / (len(sample) - 1))
    # Eigenvalues are in ascending order; rounding can make the smallest negative.
    variances = np.maximum(variances[::-1][:dimension], 0)
    components = axes.T[::-1][:dimension]
    # Signs of axes are arbitrary: the largest entry of each is made positive.
    largest = np.abs(components).argmax(axis=1)
    components = components * np.sign(components[np.arange(dimension), largest])[:, None]
    scale = 1 / np.sqrt(variances + eps * max(variances[0], np.finfo(np.float32).tiny))
    arrays = {"mean": mean, "components": components, "scale": scale}
    data = _packed({name: x.astype(np.float32) for name, x in arrays.items()}, ending)
    Path(path).write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _ending(path: StrPath) -> str:
    if not isinstance(path, str | os.PathLike) or "\0" in os.fspath(path):
        raise InputError(f"The path of a whitening file must be a path, not {path!r}.")
    ending = Path(path).suffix
    if ending not in (".safetensors", ".npz"):
        raise InputError(f"A whitening file ends in .safetensors or .npz, not {ending!r}.")
    return ending


def _sample(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    requirement = "Whitening is fitted on two or more vectors (N, D) of finite float32 numbers"
    try:
        sample = np.asarray(vectors, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{requirement}: {error}.") from error
    if sample.ndim != 2 or len(sample) < 2:
        raise InputError(f"{requirement}, not on an array of shape {sample.shape}.")
    greatest = np.finfo(np.float32).max
    if not (sample.max(initial=0) <= greatest and sample.min(initial=0) >= -greatest):
        raise InputError(f"{requirement}; these hold NaN, infinity or larger numbers.")
    return sample


def _check_numbers(shape: tuple[int, ...], dimension: int, eps: float) -> None:
    most = min(shape[0] - 1, shape[1])
    if (
        isinstance(dimension, bool)
        or not isinstance(dimension, int | np.integer)
        or not 1 <= dimension <= most
    ):
        raise InputError(
            f"{shape[0]} vectors of {shape[1]} dimensions give 1 to {most} components, "
            f"not {dimension!r}."
        )
    numbers = int | float | np.floating
    if isinstance(eps, bool) or not isinstance(eps, numbers) or not 0 < eps < math.inf:
        raise InputError(f"eps must be a number above 0, not {eps!r}.")


def _packed(arrays: dict[str, NDArray[np.float32]], ending: str) -> bytes:
    if ending == ".safetensors":
        from safetensors.numpy import save

        return bytes(save({name: np.ascontiguousarray(x) for name, x in arrays.items()}))
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def _read(path: StrPath) -> bytes:
    try:
        return Path(path).read_bytes()
    except TypeError as error:
        raise RecipeError(
            f"The path of normalize.pca_whitening must be text or a path, not {path!r}."
        ) from error
    except (OSError, ValueError) as error:
        raise WeightsError(
            "weights_missing", f"Cannot read the whitening file: {error}."
        ) from error


def _arrays(data: bytes, path: StrPath) -> tuple[NDArray[np.float32], ...]:
    """Return mean, components and scale, checked against each other."""
    try:
        if Path(path).suffix == ".safetensors":
            from safetensors.numpy import load

            arrays = dict(load(data))
        else:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        if set(arrays) != _ARRAYS:
            raise ValueError(f"it holds {', '.join(sorted(arrays))}")
        mean, components, scale = (
            np.asarray(arrays[name], np.float32) for name in ("mean", "components", "scale")
        )
        if components.shape != (len(scale), len(mean)) or mean.ndim != 1 or scale.ndim != 1:
            raise ValueError("their shapes do not fit")
    except Exception as error:  # readers raise arbitrary exceptions for foreign files
        raise WeightsError(
            "weights_mismatch",
            f"The file {path} is no whitening with mean (D,), components (K, D) and scale (K,): "
            f"{error}.",
        ) from error
    return mean, components, scale
