"""HDF5 format of bundles: datasets `vectors` (N, D) float32, `ids` and `metadata` (text)."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.bundle.formats import Block, no_vectors, rows_at_once
from embeddings.bundle.optional_packages import needed

NAME = "rows.h5"
_CHUNK_BYTES = 2**18
_TEXT_CHUNK = 1024
# Number of texts read at once: each may be long.
_TEXTS = 128


class Writer:
    """Appends to three growing datasets, chunked, without compression or filters."""

    def __init__(self, folder: Path, dimension: int) -> None:
        h5py = _package()
        self._raw = _Unfailing(folder / NAME)
        self._file = h5py.File(self._raw, "w")
        text = h5py.string_dtype("utf-8")
        rows = max(1, _CHUNK_BYTES // (4 * dimension))
        self._vectors = self._file.create_dataset(
            "vectors", (0, dimension), "<f4", maxshape=(None, dimension), chunks=(rows, dimension)
        )
        self._ids, self._metadata = (
            self._file.create_dataset(name, (0,), text, maxshape=(None,), chunks=(_TEXT_CHUNK,))
            for name in ("ids", "metadata")
        )

    def write(self, ids: list[str], metadata: list[str], vectors: NDArray[np.float32]) -> None:
        for data, new in ((self._vectors, vectors), (self._ids, ids), (self._metadata, metadata)):
            start = len(data)
            data.resize(start + len(new), axis=0)
            data[start:] = new
        self._raw.raise_error()

    def close(self) -> None:
        self._file.close()
        self._raw.close()
        self._raw.raise_error()

    def abandon(self) -> None:
        self._raw.give_up()
        with contextlib.suppress(Exception):
            self._file.close()
        self._raw.close()


class _Unfailing(io.FileIO):
    """A file for HDF5 that never fails: HDF5 crashes when it cannot close an open file.

    The first error or interrupt is kept for `raise_error`; later writes are discarded.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._error: BaseException | None = None
        self._lost = False

    def raise_error(self) -> None:
        """Raise the first error, if there was one."""
        if self._error is not None:
            raise self._error

    def give_up(self) -> None:
        """Discard all further writes."""
        self._lost = True

    def write(self, data: Any, /) -> int:
        remaining = memoryview(data).cast("B")
        size = len(remaining)
        try:
            while remaining and not self._lost:
                remaining = remaining[super().write(remaining) :]
        except BaseException as error:  # interrupts included
            self._lost, self._error = True, error
        return size

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return self.tell() if self._lost else super().truncate(size)
        except BaseException as error:
            self._lost, self._error = True, error
            return self.tell()


class Reader:
    """Reads plain datasets stored in this file; links, filters and objects are refused."""

    def __init__(self, folder: Path, count: int, dimension: int) -> None:
        self._path, self._count = folder / NAME, count
        self._rows = rows_at_once(dimension)
        h5py = _package()
        with h5py.File(self._path, "r") as file:
            if set(file) != {"vectors", "ids", "metadata"}:
                raise ValueError(f"{NAME} holds {', '.join(sorted(file))}")
            vectors = _plain(h5py, file, "vectors", (count, dimension), 4 * count * dimension)
            if vectors.dtype != np.dtype("<f4"):
                raise ValueError(f"the vectors of {NAME} are {vectors.dtype}")
            for name in ("ids", "metadata"):
                info = h5py.check_string_dtype(_plain(h5py, file, name, (count,), count).dtype)
                if info is None or info.encoding != "utf-8":
                    raise ValueError(f"{name} of {NAME} is no text")

    def blocks(self, *, vectors: bool) -> Iterator[Block]:
        # Data that is neither compressed nor shared cannot be larger than its file.
        most = self._path.stat().st_size
        with _package().File(self._path, "r") as file:
            for start in range(0, self._count, self._rows):
                end = min(start + self._rows, self._count)
                ids, metadata = (_texts(file[name], start, end) for name in ("ids", "metadata"))
                most -= sum(map(len, ids)) + sum(map(len, metadata))
                if most < 0:
                    raise ValueError(f"the texts of {NAME} are longer than it is")
                read = file["vectors"][start:end] if vectors else no_vectors(len(ids))
                yield Block(ids, metadata, read)

    def mapped(self) -> NDArray[np.float32] | None:
        return None


def _plain(h5py: Any, file: Any, name: str, shape: tuple[int, ...], least: int) -> Any:
    """The dataset, which must be stored unfiltered in this file with at least `least` bytes."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} of {NAME} is a link")
    data = file[name]
    if not isinstance(data, h5py.Dataset) or data.shape != shape:
        raise ValueError(f"{name} of {NAME} is not of shape {shape}")
    creation = data.id.get_create_plist()
    if data.is_virtual or data.external or creation.get_nfilters():
        raise ValueError(f"{name} of {NAME} is filtered, or lies elsewhere")
    if data.id.get_storage_size() < least:
        raise ValueError(f"{name} of {NAME} claims more than it holds")
    return data


def _texts(data: Any, start: int, end: int) -> list[str]:
    texts: list[str] = []
    for at in range(start, end, _TEXTS):
        # Read as bytes, so that invalid UTF-8 raises.
        texts += [text.decode() for text in data[at : min(at + _TEXTS, end)]]
    return texts


def _package() -> Any:
    return needed("h5py", "h5py", "A bundle in HDF5")
