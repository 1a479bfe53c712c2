"""CSV format of bundles (RFC 4180, UTF-8): id, metadata as JSON, vector as a JSON list."""

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.bundle.formats import Block, no_vectors, rows_at_once, vector_text
from embeddings.bundle.optional_packages import needed

NAME = "rows.csv"
_COLUMNS = ["id", "metadata", "vector"]
# A block must hold the longest possible row: id and metadata made only of quotation marks, which
# are doubled, and a vector of numbers such as -0.00012345678.
_BYTES_A_ROW = 4 * 2**20
_BYTES_A_NUMBER = 20


class _Line:
    """A file object for `csv.writer`, whose `writerow` returns what `write` returns."""

    def write(self, line: str) -> str:
        return line


class Writer:
    """Writes `rows.csv`."""

    def __init__(self, folder: Path, dimension: int) -> None:
        self._file = (folder / NAME).open("w", encoding="utf-8", newline="")
        self._line: Any = csv.writer(_Line(), quoting=csv.QUOTE_ALL, lineterminator="").writerow
        self._file.write(",".join(_COLUMNS) + "\r\n")

    def write(self, ids: list[str], metadata: list[str], vectors: NDArray[np.float32]) -> None:
        # A vector has commas and never quotation marks: csv need not scan it.
        for one, row, vector in zip(ids, metadata, vector_text.texts(vectors), strict=True):
            self._file.write(f'{self._line((one, row))},"{vector}"\r\n')

    def close(self) -> None:
        self._file.close()

    def abandon(self) -> None:
        with contextlib.suppress(Exception):
            self._file.close()


class Reader:
    """Reads `rows.csv` with Arrow: the field size limit of the csv module is global."""

    def __init__(self, folder: Path, count: int, dimension: int) -> None:
        self._path, self._dimension = folder / NAME, dimension

    def blocks(self, *, vectors: bool) -> Iterator[Block]:
        arrow_csv = needed("pyarrow.csv", "pyarrow", "A bundle in CSV")
        import pyarrow as pa

        rows = rows_at_once(self._dimension)
        size = _BYTES_A_ROW + _BYTES_A_NUMBER * self._dimension
        columns = _COLUMNS if vectors else _COLUMNS[:2]
        with arrow_csv.open_csv(
            self._path,
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=size),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(_COLUMNS, pa.string()), include_columns=columns
            ),
        ) as reader:
            for batch in reader:
                for start in range(0, len(batch), rows):
                    ids, metadata, *rest = (
                        column.to_pylist() for column in batch.slice(start, rows).columns
                    )
                    read = no_vectors(len(ids))
                    if vectors:
                        read = vector_text.vectors(rest[0], self._dimension)
                    yield Block(ids, metadata, read)

    def mapped(self) -> NDArray[np.float32] | None:
        return None
