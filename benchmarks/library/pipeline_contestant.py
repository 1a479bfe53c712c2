"""A pipeline of the library in a peer process.

Run it as `python -m benchmarks.library.pipeline_contestant PIPELINE RUNTIME`.

Answers requests in JSON about the paths that a file lists: `all` (seconds for all of them),
`parts` (CPU seconds of decoding and of the model alone), `one` (milliseconds of one image at a
time), `many` (memory over a number of images).
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from benchmarks.report import percentile
from embeddings.errors import EmbeddingsError
from embeddings.pipelines import ImagePipeline, pipeline

_MIB = 2**20
_AT_ONE_TIME = 100  # images that are timed one by one
_WARM = 32  # images of the warm-up


class Contestant:
    """The requests that `main` answers."""

    def __init__(self, model: ImagePipeline) -> None:
        self._model = model

    def all(self, paths: list[str], number: int) -> dict[str, float]:
        started, used = time.perf_counter(), time.process_time()
        vectors = np.stack(list(self._model.stream(paths)))
        seconds, cpu = time.perf_counter() - started, time.process_time() - used
        if len(vectors) != len(paths) or not np.isfinite(vectors).all():
            raise RuntimeError("a vector is missing or is not finite")
        return {"seconds": seconds, "cpu": cpu}

    def parts(self, paths: list[str], number: int) -> dict[str, float]:
        marks = [time.process_time()]
        prepared = [self._prepared(path) for path in paths]
        marks.append(time.process_time())
        self._model.embed(prepared)
        marks.append(time.process_time())
        return {"decode": marks[1] - marks[0], "forward": marks[2] - marks[1]}

    def one(self, paths: list[str], number: int) -> dict[str, float]:
        durations: dict[str, list[float]] = {"call": [], "decode": [], "forward": []}
        for path in paths[:_AT_ONE_TIME]:
            marks = [time.perf_counter()]
            self._model(path)
            marks.append(time.perf_counter())
            prepared = self._prepared(path)
            marks.append(time.perf_counter())
            self._model.embed([prepared])
            marks.append(time.perf_counter())
            for name, (start, end) in zip(durations, itertools.pairwise(marks), strict=True):
                durations[name].append(1000 * (end - start))
        return {name: percentile(values, 50) for name, values in durations.items()}

    def many(self, paths: list[str], number: int) -> dict[str, float]:
        memory_info = psutil.Process().memory_info
        before = at_tenth = memory_info().rss
        count = 0
        for _ in self._model.stream(itertools.islice(itertools.cycle(paths), number)):
            count += 1
            if count == number // 10:
                at_tenth = memory_info().rss
        sizes = {"before": before, "tenth": at_tenth, "end": memory_info().rss}
        return {"count": count, **{name: size / _MIB for name, size in sizes.items()}}

    def _prepared(self, path: str) -> npt.NDArray[np.uint8]:
        return self._model.prepare(self._model.decode(path).image)


def _facts(model: ImagePipeline) -> dict[str, str]:
    try:
        runtime = f"{model.runtime} {version(model.runtime)}"
    except PackageNotFoundError:
        runtime = model.runtime
    return {"runtime": runtime, "precision": model.precision}


def main(name: str, runtime: str) -> None:
    try:
        model = pipeline(name, runtime=runtime)
    except EmbeddingsError as error:
        print(json.dumps({"missing": str(error)}), flush=True)
        return
    contestant: Any = Contestant(model)
    print(json.dumps(_facts(model)), flush=True)
    warm = False
    for line in sys.stdin:
        question = json.loads(line)
        paths = Path(question["files"]).read_text().splitlines()
        if not warm:
            model(paths[:_WARM])
            warm = True
        ask = getattr(contestant, question["what"])
        print(json.dumps(ask(paths, question.get("number", 0))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
