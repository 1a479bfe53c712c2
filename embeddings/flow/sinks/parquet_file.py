"""Parquet sink: rows to a Parquet file, with column types inferred from the values.

Columns may appear, and their types become known, after rows have been written. Rows are therefore
written in segments of one schema each, which are merged at the end. Uniform rows make a single
segment, which is the file.
"""

import datetime
import functools
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.atomic_write import written_file
from embeddings.flow.collection.rows import PICTURE, columns_of, is_picture, plain, wrong
from embeddings.flow.collection.vector_search import Hits

# A row group is written when it has this many rows, or values of this size.
_GROUP = 4096
_GROUP_BYTES = 64 * 1024 * 1024


def write_parquet(rows: Iterable[Any], path: str | os.PathLike[str]) -> int:
    """Write rows to a Parquet file in groups of at most 4,096; return their number.

    The columns are those of all rows, in order of first appearance; None and missing values are
    nulls. Vectors (D,) become lists of fixed size D: float32 for float16 and float32, else their
    own dtype. Integers are int64, other numbers float64; datetimes have microseconds, in UTC if
    they have a time zone; `Hits` are lists of {id, score}; lists, tuples and dictionaries are
    nested (a dictionary has the keys of all rows, an empty one is a null); paths are text. The file
    is replaced when it is complete: an error in the rows leaves the old one. Memory does not grow
    with the number of rows.

    Raises `InputError`, naming column and row, when a column changes its type (also the length of a
    vector, or from integers to other numbers), for pictures, and for values that Parquet cannot
    store; `OutputError` when the file cannot be written.
    """
    with written_file(path) as draft:
        draft.touch()  # a missing folder is reported before a row is read
        with (
            tempfile.TemporaryDirectory(prefix=".", dir=draft.parent) as folder,
            closing(_Segments(Path(folder))) as segments,
        ):
            for number, row in enumerate(rows, 1):
                segments.add(columns_of(row, number), number)
            return segments.finish(draft)


class _Segments:
    """Writes rows to files of one schema each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: list[Path] = []
        self._types: dict[str, Any] = {}
        self._waiting: dict[str, list[Any]] = {}
        self._rows = self._bytes = 0
        self._first = 1
        self._writer: Any = None

    def add(self, columns: Mapping[str, Any], number: int) -> None:
        """Add row `number`; write a group when it is full."""
        for name, value in columns.items():
            value = _prepared(value, name, number)
            self._learn(name, value, number)
            values = self._waiting.setdefault(name, [])
            values.extend([None] * (self._rows - len(values)))
            values.append(value)
            self._bytes += _size(value)
        self._rows += 1
        if self._rows == _GROUP or self._bytes >= _GROUP_BYTES:
            self._write()

    def finish(self, target: Path) -> int:
        """Write the rest and merge the segments; return the number of rows."""
        import pyarrow as pa
        from pyarrow import parquet

        if self._rows or not self._paths:
            self._write()
        self.close()
        if len(self._paths) == 1:
            self._paths[0].replace(target)
        else:
            schema = pa.schema(list(self._types.items()))
            with parquet.ParquetWriter(target, schema) as writer:
                for table in self._tables():
                    writer.write_table(_widened(table, schema))
        return self._first - 1

    def close(self) -> None:
        """Close the open file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _learn(self, name: str, value: Any, number: int) -> None:
        import pyarrow as pa

        known = self._types.get(name)
        if known is None:
            known = self._types[name] = pa.null()
        value_type = _type_of(value, name, number)
        both = _merged(known, value_type)
        if both is None:
            raise wrong(
                name,
                number,
                f"is {_said(value_type)}, but was {_said(known)} before: make them one type",
            )
        self._types[name] = both

    def _write(self) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        arrays = []
        for name, kind in self._types.items():
            values = self._waiting.get(name, [])
            values.extend([None] * (self._rows - len(values)))
            arrays.append(_array(values, kind))
        schema = pa.schema(list(self._types.items()))
        if self._writer is None or self._writer.schema != schema:
            self.close()
            path = self._folder / f"{len(self._paths)}.parquet"
            self._writer = parquet.ParquetWriter(path, schema)
            self._paths.append(path)
        if self._rows:
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        self._first += self._rows
        self._rows, self._bytes, self._waiting = 0, 0, {}

    def _tables(self) -> Iterator[Any]:
        from pyarrow import parquet

        for path in self._paths:
            with parquet.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    yield file.read_row_group(group)


def _widened(table: Any, schema: Any) -> Any:
    """A table with the columns and types of `schema`; missing columns are null."""
    import pyarrow as pa

    arrays = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _size(value: Any) -> int:
    """The approximate size in bytes of a value that may be large."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, str | bytes | list | dict):
        return len(value)
    return 0


def _prepared(value: Any, column: str, number: int) -> Any:
    """The value as Arrow accepts it."""
    if is_picture(value):
        raise wrong(column, number, PICTURE)
    value = plain(value)
    if isinstance(value, Hits):
        return [
            {"id": plain(one), "score": score}
            for one, score in zip(value.ids, value.scores, strict=True)
        ]
    if isinstance(value, Mapping):
        # Parquet cannot store empty dictionaries.
        return {key: _prepared(one, column, number) for key, one in value.items()} or None
    if isinstance(value, list | tuple):
        return [_prepared(one, column, number) for one in value]
    if isinstance(value, np.ndarray) and value.ndim != 1:
        raise wrong(
            column, number, f"is an array of shape {value.shape}; only vectors (D,) are written"
        )
    if isinstance(value, np.ndarray) and (value.dtype.kind not in "biuf" or not len(value)):
        raise wrong(
            column, number, f"is an array of {len(value)} {value.dtype}, which is no vector"
        )
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.UTC)
    return value


def _type_of(value: Any, column: str, number: int) -> Any:
    """The Arrow type for a prepared value."""
    import pyarrow as pa

    if isinstance(value, np.ndarray):
        kind = np.float32 if value.dtype == np.float16 else value.dtype
        return pa.list_(pa.from_numpy_dtype(kind), len(value))
    quick = _quick_types().get(type(value))
    try:
        if quick is None:
            quick = pa.infer_type([value])
        if type(value) not in _SURE:
            pa.array([value], quick)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise wrong(
            column, number, f"is a {type(value).__name__} that Parquet cannot hold ({error})"
        ) from error
    return quick


_SURE = (bool, float, bytes, type(None))
"""Types whose values Arrow takes always; others may be too large or no UTF-8."""


@functools.cache
def _quick_types() -> dict[type, Any]:
    import pyarrow as pa

    return {
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
        str: pa.string(),
        bytes: pa.binary(),
        type(None): pa.null(),
    }


def _array(values: list[Any], kind: Any) -> Any:
    """Prepared values as an Arrow array of that type."""
    import pyarrow as pa

    if not pa.types.is_fixed_size_list(kind):
        return pa.array(values, kind)
    vectors = np.zeros((len(values), kind.list_size), kind.value_type.to_pandas_dtype())
    for place, vector in enumerate(values):
        if vector is not None:
            vectors[place] = vector
    missing = np.array([vector is None for vector in values])
    flat = pa.array(vectors.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, type=kind, mask=pa.array(missing))


def _merged(one: Any, other: Any) -> Any:
    """The type that holds the values of both; None when there is none.

    Nulls become the other type, and dictionaries get the keys of both; nothing else is converted.
    """
    import pyarrow as pa

    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if pa.types.is_list(one) and pa.types.is_list(other):
        items = _merged(one.value_type, other.value_type)
        return None if items is None else pa.list_(items)
    if not (pa.types.is_struct(one) and pa.types.is_struct(other)):
        return None
    fields = {field.name: field.type for field in one}
    for field in other:
        merged = _merged(fields.get(field.name, pa.null()), field.type)
        if merged is None:
            return None
        fields[field.name] = merged
    return pa.struct(list(fields.items()))


def _said(kind: Any) -> str:
    """The name of a type in messages."""
    import pyarrow as pa

    if pa.types.is_fixed_size_list(kind):
        return f"a vector of {kind.list_size} {kind.value_type}"
    return f"of type {kind}"
