"""The bare search, with nothing around it: decode, embed, look up, in one process.

    python -m benchmarks.bare URI COLLECTION IMAGES TOP_K

Reads paths of pictures, answers with milliseconds: `decode`, `embed`, `search` (the same Milvus
server that the application asks), and `numpy` (all vectors in this process, one product).
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.fill import random_vectors
from embeddings.operators.decode import decode
from embeddings.pipelines import pipeline
from embeddings.runtime import set_threads
from searchapp.vectors.store import VectorStore


def main(uri: str, collection: str, images: int, top_k: int) -> None:
    set_threads(1)  # as the query worker
    model, store = pipeline(), VectorStore(uri)
    vectors = random_vectors(images, model.recipe.dimension)

    def look(picture: Path) -> dict[str, float]:
        marks = [time.perf_counter()]
        prepared = model.prepare(decode(picture).image)
        marks.append(time.perf_counter())
        vector = model.embed([prepared])[0]
        marks.append(time.perf_counter())
        hits = store.search(collection, vector, top_k)
        marks.append(time.perf_counter())
        scores = vectors @ vector
        best = np.argpartition(scores, -top_k)[-top_k:]
        best = best[np.argsort(-scores[best])]
        marks.append(time.perf_counter())
        if len(hits) != top_k or abs(hits[0].score - float(scores[best[0]])) > 1e-3:
            raise RuntimeError("Milvus and numpy do not find the same")
        taken = [1000 * (later - earlier) for earlier, later in pairwise(marks)]
        return dict(zip(("decode", "embed", "search", "numpy"), taken, strict=True))

    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(look(Path(line.rstrip("\n")))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
