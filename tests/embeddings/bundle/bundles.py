"""Small bundles, and forged ones whose manifest agrees with what was done to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.bundle import FORMATS, BundleWriter, manifest
from embeddings.recipes import Operator, Recipe

DIMENSION = 8
RECIPE = Recipe("tiny", (Operator.of("normalize.l2", 1),), DIMENSION)
IDS = ["erse.jpg", "zweite.jpg", "dritte.jpg"]
METADATA: list[dict[str, Any]] = [{"title": "Ä", "size": [3, 4]}, {}, {"nested": {"a": None}}]


def unit_vectors(count: int, dimension: int = DIMENSION, seed: int = 0) -> NDArray[np.float32]:
    """Random float32 (N, D) of unit length."""
    vectors = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


VECTORS = unit_vectors(len(IDS))


def written(
    path: Path,
    format: str = "npy",
    ids: Sequence[str] = IDS,
    vectors: NDArray[np.float32] = VECTORS,
    metadata: Sequence[dict[str, Any]] | None = METADATA,
    **options: Any,
) -> Path:
    """A bundle with these rows."""
    with BundleWriter(path, RECIPE, format=format, **options) as writer:
        writer.add(ids, vectors, metadata)
    return path


def forge(folder: Path, **changes: Any) -> None:
    """Write the manifest again, with these values and the digests that the files have now."""
    entries = manifest.read(folder) | changes
    files = FORMATS[entries["format"]].files
    facts = manifest.file_facts(folder, tuple(name for name in files if (folder / name).exists()))
    manifest.write(folder, {**entries, "files": changes.get("files", facts)})
