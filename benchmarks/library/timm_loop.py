"""A plain timm loop, as a peer: `python -m benchmarks.library.timm_loop`.

The usual first version of a script: open an image, apply timm's transform, run the model on it
alone, keep the vector. The same weights, torch's default number of threads. Reads the names of
files that list paths; prints the seconds for all of them.
"""

from __future__ import annotations

from benchmarks.library import timm_common


def main() -> None:
    parts = timm_common.load()
    timm_common.answer(lambda paths: [parts.vector(parts.pixels(path)) for path in paths])


if __name__ == "__main__":
    main()
