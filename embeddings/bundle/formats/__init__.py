"""The formats of a bundle's files: each writes blocks of rows and reads them again.

Rows are written and read in blocks, so that memory does not grow with their number.
"""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import UnknownName

# Rows that are written, and read, at once, and what their vectors take at most.
_ROWS = 1024
_BYTES = 8 * 2**20


class Block(NamedTuple):
    """Some rows: identifiers, metadata as JSON text, and vectors float32 (n, D).

    `vectors` is (n, 0) where they were not asked for.
    """

    ids: list[str]
    metadata: list[str]
    vectors: NDArray[np.float32]


def rows_at_once(dimension: int) -> int:
    """How many rows are written, or read, at once."""
    return max(1, min(_ROWS, _BYTES // (4 * dimension)))


def no_vectors(count: int) -> NDArray[np.float32]:
    """What stands in a block in place of vectors."""
    return np.empty((count, 0), np.float32)


class Writer(Protocol):
    """Writes the files of one format into a folder."""

    def __init__(self, folder: Path, dimension: int) -> None: ...

    def write(self, ids: list[str], metadata: list[str], vectors: NDArray[np.float32]) -> None:
        """Append at most `rows_at_once` rows."""
        ...

    def close(self) -> None:
        """Finish the files. May raise where the disk is full."""
        ...

    def abandon(self) -> None:
        """Let go of the files, which will be removed. Raises nothing."""
        ...


class Reader(Protocol):
    """Reads the files of one format; any exception means that they are damaged."""

    def __init__(self, folder: Path, count: int, dimension: int) -> None:
        """Compare what the files say of themselves with count and dimension, cheaply."""
        ...

    def blocks(self, *, vectors: bool) -> Iterator[Block]:
        """All rows in their order."""
        ...

    def mapped(self) -> NDArray[np.float32] | None:
        """All vectors (N, D), read-only, where they need not be read to be there; else None."""
        ...


@dataclass(frozen=True)
class Format:
    """A format: the files that it makes, and the module with its `Writer` and `Reader`."""

    files: tuple[str, ...]
    module: str

    @property
    def writer(self) -> type[Writer]:
        made: type[Writer] = importlib.import_module(f"{__name__}.{self.module}").Writer
        return made

    @property
    def reader(self) -> type[Reader]:
        made: type[Reader] = importlib.import_module(f"{__name__}.{self.module}").Reader
        return made


FORMATS: Mapping[str, Format] = {
    "npy": Format(("vectors.npy", "rows.parquet"), "npy_files"),
    "parquet": Format(("rows.parquet",), "parquet_file"),
    "hdf5": Format(("rows.h5",), "hdf5_file"),
    "csv": Format(("rows.csv",), "csv_file"),
    "jsonl": Format(("rows.jsonl",), "jsonl_file"),
}


def format_named(name: str) -> Format:
    """The format of that name. Raises `UnknownName`."""
    if name not in tuple(FORMATS):
        raise UnknownName("format of a bundle", name, FORMATS)
    return FORMATS[name]
