"""Parquet format of bundles: id, vector (a list of D float32), metadata as JSON text.

Without compression or dictionary encoding: vectors hardly shrink, reading is fast, and a small file
cannot claim to hold a large one.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.bundle.formats import Block, no_vectors, rows_at_once
from embeddings.bundle.optional_packages import needed

NAME = "rows.parquet"
_PLAIN = {"PLAIN", "RLE"}


class Writer:
    """Writes `rows.parquet`; without vectors when there is no dimension."""

    def __init__(self, folder: Path, dimension: int | None) -> None:
        parquet, self._schema = _package(), _schema(dimension)
        self._file = (folder / NAME).open("wb")
        self._writer = parquet.ParquetWriter(
            self._file, self._schema, compression="none", use_dictionary=False
        )

    def write(
        self, ids: list[str], metadata: list[str], vectors: NDArray[np.float32] | None
    ) -> None:
        import pyarrow as pa

        columns = [pa.array(ids, pa.string()), pa.array(metadata, pa.string())]
        if vectors is not None:
            numbers = pa.array(np.ascontiguousarray(vectors).reshape(-1))
            columns.append(
                pa.FixedSizeListArray.from_arrays(numbers, type=self._schema.field("vector").type)
            )
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()
        self._file.close()

    def abandon(self) -> None:
        for thing in (self._writer, self._file):
            with contextlib.suppress(Exception):
                thing.close()


class Reader:
    """Reads what `Writer` wrote; any other layout is refused."""

    def __init__(self, folder: Path, count: int, dimension: int | None) -> None:
        self._path, self._dimension = folder / NAME, dimension
        with _package().ParquetFile(self._path) as file:
            if not file.schema_arrow.equals(_schema(dimension)):
                raise ValueError(f"the columns of {NAME} are {file.schema_arrow.names}")
            if file.metadata.num_rows != count:
                raise ValueError(f"{NAME} has {file.metadata.num_rows} rows and not {count}")
            _check_plain(file.metadata, self._path.stat().st_size)

    def blocks(self, *, vectors: bool) -> Iterator[Block]:
        columns = ["id", "metadata"] + ["vector"] * (vectors and self._dimension is not None)
        most = self._path.stat().st_size
        rows = rows_at_once(self._dimension or 1)
        # No read-ahead: it would load the whole file.
        with _package().ParquetFile(self._path, pre_buffer=False) as file:
            for batch in file.iter_batches(rows, columns=columns):
                most -= batch.nbytes
                if most < 0 or any(column.null_count for column in batch.columns):
                    raise ValueError(f"{NAME} holds more, or less, than it says")
                read = no_vectors(len(batch))
                if len(columns) == 3:
                    read = _vectors(batch.column("vector"), self._dimension)
                yield Block(
                    batch.column("id").to_pylist(), batch.column("metadata").to_pylist(), read
                )

    def mapped(self) -> NDArray[np.float32] | None:
        return None


def _vectors(column: Any, dimension: int | None) -> NDArray[np.float32]:
    numbers = column.flatten()
    if numbers.null_count or dimension is None:
        raise ValueError(f"a vector of {NAME} has holes")
    flat: NDArray[np.float32] = numbers.to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), dimension)


def _check_plain(metadata: Any, size: int) -> None:
    total = 0
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            column = metadata.row_group(group).column(number)
            if column.compression != "UNCOMPRESSED" or not set(column.encodings) <= _PLAIN:
                raise ValueError(f"{NAME} is compressed or encoded, and bundles are not")
            total += column.total_uncompressed_size
    if total > size:
        raise ValueError(f"{NAME} claims more than it holds")


def _schema(dimension: int | None) -> Any:
    import pyarrow as pa

    fields = [
        pa.field("id", pa.string(), nullable=False),
        pa.field("metadata", pa.string(), nullable=False),
    ]
    if dimension is not None:
        item = pa.field("element", pa.float32(), nullable=False)
        fields.append(pa.field("vector", pa.list_(item, dimension), nullable=False))
    return pa.schema(fields)


def _package() -> Any:
    return needed("pyarrow.parquet", "pyarrow", "A bundle with Parquet")
