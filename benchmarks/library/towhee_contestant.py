"""The timm model in a Towhee pipeline, run in Towhee's own environment.

Run it as `python -m benchmarks.library.towhee_contestant`.

The same callables as the plain loop, as two steps of a pipeline that receives all paths at once.
Reads the names of files that list paths; prints the seconds for all of them.
"""

from __future__ import annotations

import importlib
from typing import Any

from benchmarks.library import timm_common


def main() -> None:
    parts = timm_common.load()
    towhee: Any = importlib.import_module("towhee")  # only in its own environment
    steps = towhee.pipe.input("path").map("path", "pixels", parts.pixels)
    pipeline = steps.map("pixels", "vector", parts.vector).output("vector")
    timm_common.answer(lambda paths: [result.get()[0] for result in pipeline.batch(paths)])


if __name__ == "__main__":
    main()
