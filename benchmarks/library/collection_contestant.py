"""DataCollection in a peer process: `python -m benchmarks.library.collection_contestant PIPELINE`.

Answers requests in JSON about the images of a folder: `pictures` (seconds from the first vector to
the last, and to the first, by one `way`), `rows` (seconds for a number of rows through a light
function), `memory` (MiB of this process and its children, over a number of images).
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from embeddings import DataCollection, pipeline
from embeddings.pipelines import ImagePipeline

_MIB = 2**20


class Contestant:
    """The requests that `main` answers."""

    def __init__(self, model: ImagePipeline) -> None:
        self._model = model
        model.batch([str(path) for path in sorted(Path("demo").glob("*.jpg"))[:32]])

    def pictures(self, question: dict[str, Any]) -> dict[str, float]:
        started = time.perf_counter()
        vectors = iter(self._vectors(question["way"], question["folder"]))
        next(vectors)
        first = time.perf_counter()
        rest = sum(1 for _ in vectors)
        ended = time.perf_counter()
        if rest + 1 != question["count"]:
            raise RuntimeError(f"{rest + 1} vectors came for {question['count']} pictures")
        return {"first": first - started, "all": ended - started, "rest": ended - first}

    def rows(self, question: dict[str, Any]) -> dict[str, float]:
        rows = DataCollection.range(question["count"]).map(_light)
        results = iter(_way(rows, question["way"]))
        next(results)
        started = time.perf_counter()
        rest = sum(1 for _ in results)
        return {"ms": 1000 * (time.perf_counter() - started) / rest}

    def memory(self, question: dict[str, Any]) -> dict[str, float]:
        paths = [str(path) for path in sorted(Path(question["folder"]).glob("*.jpg"))]
        many = itertools.islice(itertools.cycle(paths), question["count"])
        sizes: dict[str, float] = {}
        rows = _way(DataCollection(many).map(self._model), question["way"])
        for number, _ in enumerate(rows, 1):
            if number == max(1, question["count"] // 10):
                sizes["tenth"] = _held()
            if number == question["count"]:
                sizes["end"] = _held()
        return sizes

    def _vectors(self, way: str, folder: str) -> Iterable[Any]:
        if way == "stream":
            return self._model.stream(map(str, sorted(Path(folder).glob("*.jpg"))))
        paths = DataCollection.from_glob(f"{folder}/*.jpg")
        if way == "operators":
            model = self._model
            return (
                paths.image_decode.pillow(draft_short_side=256)
                .image_embedding.timm(
                    model_name="efficientnet-lite0",
                    runtime=model.runtime,
                    precision=model.precision,
                )
                .normalize.l2()
                .set_parallel()
            )
        return _way(paths.map(self._model), way)


def _light(number: int) -> int:
    return number + 1


def _way(rows: DataCollection, way: str) -> DataCollection:
    if way == "threads":
        return rows.set_parallel()
    return rows.set_engine("ray") if way == "ray" else rows


def _held() -> float:
    """Memory of this process and its children in MiB; shared memory is counted once."""
    own = psutil.Process()
    total = 0
    for process in (own, *own.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except psutil.Error:  # the process has ended meanwhile
            continue
    return total / _MIB


def main(name: str) -> None:
    contestant: Any = Contestant(pipeline(name))
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        if question["way"] == "ray":
            _start_cluster()
        print(json.dumps(getattr(contestant, question["what"])(question)), flush=True)


def _start_cluster() -> None:
    """Start a Ray cluster for the life of this process, so that its start is not measured."""
    import ray

    if not ray.is_initialized():
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        ray.init(address="local", include_dashboard=False, log_to_driver=False)


if __name__ == "__main__":
    main(sys.argv[1])
