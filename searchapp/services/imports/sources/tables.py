"""Rows of an uploaded table (CSV, JSON Lines or Parquet), readable from any position."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from searchapp.services.imports.detection import COLUMNS, delimiter_of, names_a_file
from searchapp.services.imports.sources.base import SourceError

_LINE = 1_000_000  # bytes of one line
_BATCH = 1000  # rows of Parquet in memory
_NOT_TEXT = "This row is not text in UTF-8; save the table as UTF-8."


@dataclass(frozen=True)
class TableRow:
    """One row, or its error; `cursor` is where the next one begins."""

    name: str
    cursor: str
    values: dict[str, Any] | None = None
    error: str = ""


def rows(path: Path, cursor: str) -> Iterator[TableRow]:
    """Yield the rows behind `cursor`. Raises `SourceError` when the file is not such a table."""
    at, number = json.loads(cursor) if cursor else (0, 0)
    with path.open("rb") as file:
        head = file.read(4096)
        file.seek(0)
        if head.startswith(b"PAR1"):
            yield from _parquet(path, number)
        elif head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
            yield from _json_lines(file, at, number)
        else:
            yield from _csv(file, at, number)


class _Lines:
    """The lines of a file as text, with the offset of the next one."""

    def __init__(self, file: BinaryIO, at: int) -> None:
        self._file, self.at = file, at
        self.quotes = 0  # so far
        file.seek(at)

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        start = self.at
        line = self._file.readline(_LINE)
        self.at += len(line)
        if not line:
            raise StopIteration
        if len(line) == _LINE and not line.endswith(b"\n"):
            raise SourceError("table_broken", f"A line is longer than {_LINE:,} bytes.")
        self.quotes += line.count(b'"')
        return line.decode("utf-8-sig" if start == 0 else "utf-8", "surrogateescape")


def is_text(value: str) -> bool:
    """Whether a text can be stored: it was valid UTF-8 and has no lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _csv(file: BinaryIO, at: int, number: int) -> Iterator[TableRow]:
    first = _Lines(file, 0)
    try:
        header_line = next(first)
        delimiter = delimiter_of(header_line)
        file.seek(0)
        first = _Lines(file, 0)
        header = [name.strip() for name in next(csv.reader(first, delimiter=delimiter))]
    except (StopIteration, csv.Error):
        raise SourceError("table_broken", "This table has no line with names of columns.") from None
    _check_header(header)
    lines = _Lines(file, at or first.at)
    reader = csv.reader(lines, delimiter=delimiter)
    size = os.fstat(file.fileno()).st_size
    while True:
        number += 1
        values, error, start = None, "", lines.quotes
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            cells, error = [], f"This row cannot be read: {problem}."
            reader = csv.reader(lines, delimiter=delimiter)
        if not cells and not error:
            continue  # an empty line
        if len(cells) > len(header) and any(cells[len(header) :]):
            error = f"This row has {len(cells)} cells, and there are {len(header)} columns."
        elif lines.at >= size and (lines.quotes - start) % 2 and "\n" in "".join(cells):
            error = "A quotation mark opens in this row and never closes: the rows behind are lost."
        elif not all(map(is_text, cells)):
            error = _NOT_TEXT
        if not error:
            values = dict(zip(header, cells, strict=False))
        yield TableRow(f"row {number}", json.dumps([lines.at, number]), values, error)


def _check_header(header: list[str]) -> None:
    if not any(map(names_a_file, header)):
        raise SourceError(
            "table_broken",
            f"No column of this table names a file: it has none of {COLUMNS}. Its first line has "
            "the names of the columns, in UTF-8; JSON comes as JSON Lines, an object a line.",
        )
    for name, number in Counter(header).items():
        if name and number > 1:
            text = f"This table has {number} columns '{name[:40]}'; give each a name of its own."
            raise SourceError("table_broken", text)


def _json_lines(file: BinaryIO, at: int, number: int) -> Iterator[TableRow]:
    lines = _Lines(file, at)
    for line in lines:
        number += 1
        if not line.strip():
            continue
        values, error = None, "This line is no JSON object."
        try:
            parsed = json.loads(line)
            if isinstance(parsed, dict):
                values, error = parsed, ""
            if not is_text(line):
                values, error = None, _NOT_TEXT
        except (ValueError, RecursionError):
            pass
        yield TableRow(f"row {number}", json.dumps([lines.at, number]), values, error)


def _parquet(path: Path, number: int) -> Iterator[TableRow]:
    # Imported here: only workers read manifests, and nothing else needs it.
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path) as table:
            # Embedded pictures and other bytes are not supported.
            columns = [
                field.name
                for field in table.schema_arrow
                if not (pyarrow.types.is_binary(field.type) or pyarrow.types.is_nested(field.type))
                or pyarrow.types.is_list(field.type)
            ]
            skipped = 0
            for group in range(table.num_row_groups):
                size = table.metadata.row_group(group).num_rows
                if skipped + size <= number:
                    skipped += size
                    continue
                for batch in table.iter_batches(_BATCH, row_groups=[group], columns=columns):
                    for values in batch.to_pylist():
                        skipped += 1
                        if skipped > number:
                            plain = {name: _plain(value) for name, value in values.items()}
                            yield TableRow(f"row {skipped}", json.dumps([0, skipped]), plain)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise SourceError("table_broken", f"This Parquet file cannot be read: {reason}.") from None


def _plain(value: Any) -> Any:
    """Return a value as JSON; dates and the like become text."""
    if value is None or isinstance(value, str | int | float | bool | list):
        return value
    return str(value)
