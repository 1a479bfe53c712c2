"""The bare search as a peer: decode, embed and search in one process, without the application.

    python -m benchmarks.search.bare_search URI COLLECTION IMAGES TOP_K [VECTORS]

Reads paths of images and prints milliseconds: `decode`, `embed`, `search` (on the application's
Milvus server), and `numpy` (one product with all vectors in this process). Several paths in one
line, separated by tabs, are one batch: one tensor, one request to Milvus. VECTORS is a file of the
collection's vectors, where they are not those of `benchmarks.installation.fill_images`.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.installation.fill_images import random_vectors
from embeddings.operators.decode.pillow import decode
from embeddings.pipelines import pipeline
from embeddings.thread_count import set_threads
from searchapp.infra.vectors.client import MilvusConnection
from searchapp.infra.vectors.store import VECTOR, VectorStore


def main(uri: str, collection: str, images: int, top_k: int, file: str = "") -> None:
    set_threads(1)  # as the query worker
    model, store, connection = pipeline(), VectorStore(uri), MilvusConnection(uri, "")
    vectors = np.load(file) if file else random_vectors(images, model.recipe.dimension)

    def look(pictures: list[Path]) -> dict[str, float]:
        marks = [time.perf_counter()]
        prepared = [model.prepare(decode(picture).image) for picture in pictures]
        marks.append(time.perf_counter())
        queries = model.embed(prepared)
        marks.append(time.perf_counter())
        if len(queries) == 1:
            first = store.search(collection, queries[0], top_k)[0].score
        else:
            first = _search(connection, collection, queries, top_k)
        marks.append(time.perf_counter())
        scores = vectors @ queries.T
        best = np.argpartition(scores[:, 0], -top_k)[-top_k:]
        best = best[np.argsort(-scores[best, 0])]
        marks.append(time.perf_counter())
        if abs(first - float(scores[best[0], 0])) > 1e-3:
            raise RuntimeError("Milvus and numpy do not find the same")
        durations = [1000 * (later - earlier) for earlier, later in pairwise(marks)]
        return dict(zip(("decode", "embed", "search", "numpy"), durations, strict=True))

    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        paths = [Path(path) for path in line.rstrip("\n").split("\t")]
        print(json.dumps(look(paths)), flush=True)


def _search(
    connection: MilvusConnection, collection: str, queries: npt.NDArray[np.float32], top_k: int
) -> float:
    """Search with all vectors in one request; return the best score of the first."""
    results = connection.call(
        lambda client: client.search(
            collection, list(queries), limit=top_k, anns_field=VECTOR, timeout=60
        )
    )
    if [len(hits) for hits in results] != [top_k] * len(queries):
        raise RuntimeError("Milvus does not find as many as were asked for")
    return float(results[0][0].distance)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
