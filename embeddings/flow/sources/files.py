"""File sources: paths by glob pattern, rows of CSV and Parquet files, ZIP archives.

Everything is read lazily. A missing or invalid path raises at the call; the content of a file is
checked when the first row is read.
"""

import csv
import glob
import os
from collections.abc import Iterator, Sequence
from typing import Any

from embeddings.errors import InputError, UnknownName
from embeddings.flow.sources.paths import existing_file, path_text
from embeddings.flow.sources.zip_archives import Archive, Entry, ZipMember, zip_members

__all__ = [
    "Archive",
    "Entry",
    "ZipMember",
    "csv_rows",
    "glob_paths",
    "parquet_rows",
    "zip_members",
]

# Rows of a Parquet file in memory at once; they may hold whole pictures.
_PARQUET_ROWS = 256


def glob_paths(*patterns: str | os.PathLike[str]) -> Iterator[str]:
    """The paths of matching files, each once: sorted within a pattern, patterns in order.

    `*`, `?` and `[...]` match within a name, `**` any folders; hidden names are matched only by
    patterns that begin with a dot. A pattern without matches gives nothing. Raises `InputError`
    when there is no pattern, or one is not a path.
    """
    if not patterns:
        raise InputError("Give at least one pattern, such as 'photos/**/*.jpg'.")
    return _globbed([path_text(pattern) for pattern in patterns])


def _globbed(patterns: list[str]) -> Iterator[str]:
    seen: set[str] = set()
    for pattern in patterns:
        for path in sorted(glob.iglob(pattern, recursive=True)):
            known = os.path.normpath(path)
            if known not in seen and os.path.isfile(path):
                seen.add(known)
                yield path


def csv_rows(path: str | os.PathLike[str], *, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """The rows of a CSV file (UTF-8, with or without a byte order mark), as text by column.

    The first line names the columns; quoted values may span lines, empty lines are skipped, and an
    empty file has no rows. Raises `InputError`: at the call when there is no such file or the
    delimiter is not one character; while reading, naming the line, when column names are empty or
    repeated, rows have too many or too few values, quotes are not closed, or bytes are not UTF-8.
    """
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise InputError(
            f"The delimiter of a CSV file is one character, such as ',' or ';'; not {delimiter!r}."
        )
    return _csv_rows(existing_file(path), delimiter)


def _csv_rows(path: str, delimiter: str) -> Iterator[dict[str, str]]:
    lines = _csv_lines(path, delimiter)
    number, header = next(lines, (0, []))
    for place, name in enumerate(header, 1):
        if not name.strip():
            raise InputError(f"Line {number} of {path} gives column {place} no name.")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise InputError(f"Line {number} of {path} names column {twice[0]!r} more than once.")
    for number, values in lines:
        if len(values) != len(header):
            raise InputError(
                f"Line {number} of {path} has {len(values)} values, but there are "
                f"{len(header)} columns ({', '.join(header)})."
            )
        yield dict(zip(header, values, strict=True))


def _csv_lines(path: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not empty, with the number of its first line."""
    with _opened_text(path) as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        while True:
            number = reader.line_num + 1
            try:
                values = next(reader, None)
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path} is not UTF-8 from line {number} on or a little behind it "
                    f"({error.reason}); save it as UTF-8."
                ) from error
            except csv.Error as error:
                longer = " (csv.field_size_limit raises it)" if "field limit" in str(error) else ""
                raise InputError(f"Line {number} of {path} is no CSV: {error}{longer}.") from error
            except OSError as error:
                raise _unreadable(path, error) from error
            if values is None:
                return
            if values:
                yield number, values


def _opened_text(path: str) -> Any:
    try:
        return open(path, encoding="utf-8-sig", newline="")
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or str(error)
    return InputError(f"{path} cannot be read: {reason}.")


def parquet_rows(
    path: str | os.PathLike[str], columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, as Python values by column; all columns unless named.

    Lists of numbers, of fixed or variable size, are numpy arrays (D,) of the file's dtype; with
    nulls inside they are floats, with NaN for nulls. Raises `InputError`: at the call when there is
    no such file; at the first row when it is not a Parquet file, or has two columns of the same
    name; while reading when a part is damaged. Raises `UnknownName` when the file does not have a
    column.
    """
    if isinstance(columns, str):
        raise InputError(f"Columns are a list of names, such as [{columns!r}].")
    names = None if columns is None else list(columns)
    if names == []:
        raise InputError("Name at least one column, or none for all of them.")
    return _parquet_rows(existing_file(path), names)


def _parquet_rows(path: str, columns: list[str] | None) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    from pyarrow import parquet

    count = 0
    try:
        with parquet.ParquetFile(path) as file:
            names = _parquet_columns(path, file.schema_arrow.names, columns)
            for batch in file.iter_batches(_PARQUET_ROWS, columns=names):
                values = [_values(batch.column(name)) for name in names]
                for row in zip(*values, strict=True):
                    yield dict(zip(names, row, strict=True))
                    count += 1
    except (pa.ArrowException, OSError, ValueError) as error:
        where = f" behind row {count}" if count else ""
        raise InputError(f"{path} is no Parquet file that can be read{where}: {error}.") from error


def _parquet_columns(path: str, known: list[str], requested: list[str] | None) -> list[str]:
    if twice := sorted({name for name in known if known.count(name) > 1}):
        raise InputError(f"{path} has more than one column named {twice[0]!r}.")
    for name in requested or ():
        if name not in known:
            raise UnknownName(f"column in {path}", name, known)
    return known if requested is None else requested


def _values(column: Any) -> list[Any]:
    """The values of an Arrow array; lists of numbers as separate arrays."""
    import pyarrow as pa

    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    is_fixed = pa.types.is_fixed_size_list(kind)
    if not (is_list or is_fixed) or not (
        pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type)
    ):
        values: list[Any] = column.to_pylist()
        return values
    numbers = column.values.to_numpy(zero_copy_only=False)
    if is_fixed:
        size = kind.list_size
        starts = [size * (column.offset + place) for place in range(len(column) + 1)]
    else:
        starts = column.offsets.to_pylist()
    valid = column.is_valid().to_pylist()
    # Copies, so that a kept row does not keep its whole batch in memory.
    return [
        numbers[start:end].copy() if there else None
        for start, end, there in zip(starts, starts[1:], valid, strict=False)
    ]
