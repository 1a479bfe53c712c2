"""CSV sink: rows to a CSV file."""

import csv
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from embeddings.atomic_write import written_file
from embeddings.flow.collection.rows import PICTURE, columns_of, is_picture, is_time, plain, wrong
from embeddings.flow.collection.vector_search import Hits


def write_csv(rows: Iterable[Any], path: str | os.PathLike[str]) -> int:
    """Write rows to a CSV file (UTF-8, with header, quoted if needed); return their number.

    The columns are those of all rows, in order of first appearance; None and missing values are
    empty fields. Arrays, lists, tuples and dictionaries become JSON, `Hits` a list of [id, score],
    dates and times ISO 8601. Without rows the file is empty. The file is replaced when it is
    complete: an error in the rows leaves the old one. Memory does not grow with the number of rows.

    Raises `InputError`, naming column and row, for pictures, bytes and other values without a text
    form, and `OutputError` when the file cannot be written.
    """
    count = 0
    header: dict[str, int] = {}
    with (
        written_file(path) as draft,
        # Opened first: a missing folder is reported before a row is read.
        open(draft, "w", encoding="utf-8", newline="") as file,
        # The columns are known only at the end. Each line here is a row as JSON.
        tempfile.TemporaryFile("w+", encoding="utf-8", dir=draft.parent) as body,
    ):
        for count, row in enumerate(rows, 1):
            columns = columns_of(row, count)
            for name in columns:
                if name not in header:
                    _check_text(name, name, count)
                    header[name] = len(header)
            fields = [""] * len(header)
            for name, value in columns.items():
                fields[header[name]] = _field(value, name, count)
            body.write(json.dumps(fields) + "\n")
        body.seek(0)
        writer = csv.writer(file)
        if header:
            writer.writerow(header)
        for line in body:
            fields = json.loads(line)
            writer.writerow(fields + [""] * (len(header) - len(fields)))
    return count


def _field(value: Any, column: str, number: int) -> str:
    if is_picture(value):
        raise wrong(column, number, PICTURE)
    if isinstance(value, np.floating):
        return str(value)
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, str):
        _check_text(value, column, number)
        return value
    if isinstance(value, bool | int | float | Decimal):
        return str(value)
    if is_time(value):
        text: str = value.isoformat()
        return text
    if isinstance(value, np.ndarray | list | tuple | Mapping | Hits):
        return _json(value, column, number)
    kind = type(value).__name__
    if isinstance(value, bytes | bytearray | memoryview):
        raise wrong(column, number, f"is {kind}, which a CSV file cannot hold; write Parquet")
    raise wrong(column, number, f"is a {kind}, which a CSV file cannot hold")


def _check_text(text: str, column: str, number: int) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise wrong(column, number, f"is no text that UTF-8 can hold: {text!r}") from error


def _json(value: Any, column: str, number: int) -> str:
    def other(inner: Any) -> Any:
        if is_picture(inner):
            raise wrong(column, number, PICTURE)
        inner = plain(inner)
        if isinstance(inner, Hits):
            return [
                [name, float(str(score))]
                for name, score in zip(inner.ids, inner.scores, strict=True)
            ]
        if isinstance(inner, np.ndarray):
            return inner.tolist()
        if isinstance(inner, bool | int | float | str):
            return inner
        if is_time(inner):
            return inner.isoformat()
        raise wrong(column, number, f"holds a {type(inner).__name__}, which JSON cannot hold")

    if _is_vector_of_floats(value):
        # Shortest float32 text: 0.1, not the float64 0.10000000149011612.
        return "[" + ", ".join(value.astype(np.str_).tolist()) + "]"
    try:
        return json.dumps(value, default=other, ensure_ascii=False)
    except (TypeError, ValueError) as error:  # keys that are not text, circular references
        raise wrong(column, number, f"cannot be written as JSON: {error}") from error


def _is_vector_of_floats(value: Any) -> bool:
    return (
        isinstance(value, np.ndarray)
        and value.ndim == 1
        and value.dtype.kind == "f"
        and bool(np.isfinite(value).all())
    )
