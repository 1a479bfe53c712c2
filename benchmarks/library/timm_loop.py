"""The plain timm loop: `python -m benchmarks.library.timm_loop`.

What one writes first: open a picture, transform it as timm says, run the model on it alone, keep
the vector. The same weights, torch's own number of threads. Reads the names of files that list
paths, answers with the seconds that all of them took.
"""

from __future__ import annotations

from benchmarks.library import timm_common


def main() -> None:
    parts = timm_common.load()
    timm_common.answer(lambda paths: [parts.vector(parts.pixels(path)) for path in paths])


if __name__ == "__main__":
    main()
