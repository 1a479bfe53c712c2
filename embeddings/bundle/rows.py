"""The rows of a bundle, as what exports them sees them."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Batch(NamedTuple):
    """Some rows of a bundle: texts, float32 (n, D), and dictionaries."""

    ids: list[str]
    vectors: NDArray[np.float32]
    metadata: list[dict[str, Any]]


class Rows(Protocol):
    """Rows and what made them: a `Bundle`. An export needs no more of it."""

    manifest: dict[str, Any]
    fingerprint: str

    def batches(self) -> Iterator[Batch]:
        """All rows in their order, some at a time. Raises `BundleError`."""
        ...
