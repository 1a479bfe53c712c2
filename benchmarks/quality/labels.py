"""Labelled images, one category each, from a folder with a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks.report import NotHere
from embeddings.operators.decode.pillow import decode

_TABLES = ("labels.csv", "demo.csv")


@dataclass(frozen=True)
class Labelled:
    """An image file and its category."""

    path: Path
    category: str


def read(folder: Path) -> list[Labelled]:
    """Return the images that `labels.csv` or `demo.csv` in `folder` lists, in its order.

    Reads the columns `file` (relative to the folder) and `category`, and ignores others. Raises
    `NotHere` when there is no such file or column.
    """
    table = next((folder / name for name in _TABLES if (folder / name).is_file()), None)
    if table is None:
        raise NotHere(f"{folder} has neither {' nor '.join(_TABLES)}.")
    with table.open(encoding="utf-8", newline="") as opened:
        rows = csv.DictReader(opened)
        missing = {"file", "category"} - set(rows.fieldnames or ())
        if missing:
            raise NotHere(f"{table} has no column {' and no column '.join(sorted(missing))}.")
        return [Labelled(folder / row["file"], row["category"]) for row in rows]


def load(pictures: Sequence[Labelled]) -> list[Image.Image]:
    """Return the decoded images, RGB."""
    return [decode(picture.path).image for picture in pictures]
