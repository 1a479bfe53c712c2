"""A process that writes rows: python -m tests.infra.vectors.writer URI COLLECTION FIRST ROWS.

It prints one line for each acknowledged batch, tries each batch until it is acknowledged, and
never writes an acknowledged batch again.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from searchapp.infra.vectors.errors import VectorsUnavailable
from searchapp.infra.vectors.store import VectorStore

DIMENSION = 64
BATCH = 50


def vector_of(image_id: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return the vector of `image_id`, the same in every process."""
    return np.random.default_rng(image_id).standard_normal(DIMENSION, dtype=np.float32)


def main(uri: str, collection: str, first: int, rows: int) -> None:
    store = VectorStore(uri)
    store.ensure_collection(collection, DIMENSION)
    for start in range(first, first + rows, BATCH):
        ids = range(start, start + BATCH)
        vectors = np.stack([vector_of(image_id) for image_id in ids])
        deadline = time.monotonic() + 60
        while True:
            try:
                store.upsert(collection, ids, vectors)
                break
            except VectorsUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        print(start, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
