"""Interface of bundle rows, as used by exports."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Batch(NamedTuple):
    """Some rows of a bundle: ids, vectors float32 (n, D), and metadata dictionaries."""

    ids: list[str]
    vectors: NDArray[np.float32]
    metadata: list[dict[str, Any]]


class Rows(Protocol):
    """Rows with their manifest: the part of `Bundle` that exports need."""

    manifest: dict[str, Any]
    fingerprint: str

    def batches(self) -> Iterator[Batch]:
        """All rows in order, in batches. Raises `BundleError` when the bundle is damaged."""
        ...
