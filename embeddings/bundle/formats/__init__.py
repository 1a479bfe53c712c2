"""File formats of bundles, and the interface of their writers and readers.

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

# Limits of one block: its number of rows, and the bytes of its vectors.
_ROWS = 1024
_BYTES = 8 * 2**20


class Block(NamedTuple):
    """Some rows: ids, metadata as JSON text, and vectors float32 (n, D).

    `vectors` is (n, 0) when vectors were not requested.
    """

    ids: list[str]
    metadata: list[str]
    vectors: NDArray[np.float32]


def rows_at_once(dimension: int) -> int:
    """The number of rows in a block."""
    return max(1, min(_ROWS, _BYTES // (4 * dimension)))


def no_vectors(count: int) -> NDArray[np.float32]:
    """Placeholder for the vectors of a block that was read without them."""
    return np.empty((count, 0), np.float32)


class Writer(Protocol):
    """Writes the files of one format into a folder."""

    def __init__(self, folder: Path, dimension: int) -> None: ...

    def write(self, ids: list[str], metadata: list[str], vectors: NDArray[np.float32]) -> None:
        """Append at most `rows_at_once` rows."""
        ...

    def close(self) -> None:
        """Finish the files. May raise when the disk is full."""
        ...

    def abandon(self) -> None:
        """Close the files, which will be deleted. Never raises."""
        ...


class Reader(Protocol):
    """Reads the files of one format. Any exception means that they are damaged."""

    def __init__(self, folder: Path, count: int, dimension: int) -> None:
        """Cheaply compare the headers of the files with `count` and `dimension`."""
        ...

    def blocks(self, *, vectors: bool) -> Iterator[Block]:
        """All rows in order."""
        ...

    def mapped(self) -> NDArray[np.float32] | None:
        """All vectors (N, D), read-only, when the file can be memory-mapped; else None."""
        ...


@dataclass(frozen=True)
class Format:
    """A format: the names of its files, and the module with its `Writer` and `Reader`."""

    files: tuple[str, ...]
    module: str

    @property
    def writer(self) -> type[Writer]:
        writer_class: type[Writer] = importlib.import_module(f"{__name__}.{self.module}").Writer
        return writer_class

    @property
    def reader(self) -> type[Reader]:
        reader_class: type[Reader] = importlib.import_module(f"{__name__}.{self.module}").Reader
        return reader_class


FORMATS: Mapping[str, Format] = {
    "npy": Format(("vectors.npy", "rows.parquet"), "npy_files"),
    "parquet": Format(("rows.parquet",), "parquet_file"),
    "hdf5": Format(("rows.h5",), "hdf5_file"),
    "csv": Format(("rows.csv",), "csv_file"),
    "jsonl": Format(("rows.jsonl",), "jsonl_file"),
}


def format_named(name: str) -> Format:
    """The format of that name. Raises `UnknownName` when there is none."""
    if name not in tuple(FORMATS):
        raise UnknownName("format of a bundle", name, FORMATS)
    return FORMATS[name]
