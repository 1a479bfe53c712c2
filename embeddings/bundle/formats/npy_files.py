"""npy format of bundles: vectors in `vectors.npy` (memory-mapped), the rest in `rows.parquet`."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from embeddings.bundle.formats import Block, parquet_file

NAME = "vectors.npy"


class Writer:
    """Writes vectors after a header whose row count is filled in at the end."""

    def __init__(self, folder: Path, dimension: int) -> None:
        self._rows = parquet_file.Writer(folder, None)
        self._dimension, self._count = dimension, 0
        self._file = (folder / NAME).open("wb")
        self._file.write(self._header())

    def write(self, ids: list[str], metadata: list[str], vectors: NDArray[np.float32]) -> None:
        self._rows.write(ids, metadata, None)
        self._file.write(np.ascontiguousarray(vectors, "<f4").data)
        self._count += len(vectors)

    def close(self) -> None:
        self._rows.close()
        # numpy pads the header for a growing first axis, so its length does not change.
        self._file.seek(0)
        self._file.write(self._header())
        self._file.close()

    def abandon(self) -> None:
        self._rows.abandon()
        with contextlib.suppress(Exception):
            self._file.close()

    def _header(self) -> bytes:
        out = io.BytesIO()
        shape = self._count, self._dimension
        npy.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": shape})
        return out.getvalue()


class Reader:
    """Memory-maps the vectors, and reads ids and metadata from `rows.parquet`."""

    def __init__(self, folder: Path, count: int, dimension: int) -> None:
        self._path, self._shape = folder / NAME, (count, dimension)
        self._rows = parquet_file.Reader(folder, count, None)
        with self._path.open("rb") as file:
            if npy.read_magic(file) != (1, 0):
                raise ValueError(f"{NAME} is of another version")
            shape, fortran, dtype = npy.read_array_header_1_0(file)
            self._start = file.tell()
        if (shape, fortran, dtype) != (self._shape, False, np.dtype("<f4")):
            raise ValueError(f"{NAME} holds {dtype} of shape {shape}")
        if self._path.stat().st_size != self._start + 4 * count * dimension:
            raise ValueError(f"{NAME} does not hold what its header says")

    def blocks(self, *, vectors: bool) -> Iterator[Block]:
        at, mapped = 0, self.mapped()
        for block in self._rows.blocks(vectors=False):
            end = at + len(block.ids)
            yield block._replace(vectors=mapped[at:end]) if vectors else block
            at = end

    def mapped(self) -> NDArray[np.float32]:
        if not self._shape[0]:  # an empty file cannot be mapped
            empty: NDArray[np.float32] = np.empty(self._shape, np.float32)
            empty.flags.writeable = False
            return empty
        return np.memmap(self._path, "<f4", "r", self._start, self._shape)
