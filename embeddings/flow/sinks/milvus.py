"""Milvus sink. The caller provides the client; pymilvus is not imported."""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from embeddings.errors import InputError, OutputError
from embeddings.flow.collection.rows import plain, refuse_failed


def insert_into_milvus(rows: Iterable[Any], collection: Any, batch_size: int = 1000) -> int:
    """Insert rows into a Milvus collection, `batch_size` at a time; return their number.

    `collection` is a pair (MilvusClient, name), or a `pymilvus.Collection`. A row is a dictionary
    of the fields, or a tuple of their values in the order of the schema without the automatic id;
    if only one field is left, a row may be its value, such as a vector. Arrays become lists.

    Raises `InputError` when a row is neither, and `OutputError` when Milvus refuses a batch, naming
    its rows, counted from 1. The batches before it have been inserted by then.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f"batch_size must be 1 or more, not {batch_size!r}.")
    name, insert, describe = _doors(collection)
    fields: list[str] | None = None
    iterator, done = iter(rows), 0
    while batch := list(itertools.islice(iterator, batch_size)):
        if fields is None and not all(isinstance(row, Mapping) for row in batch):
            with _told(f"The collection {name!r} cannot be described"):
                fields = describe()
        records = [_record(row, fields, name, number) for number, row in enumerate(batch, done + 1)]
        before = "the rows before are inserted" if done else "nothing is inserted"
        with _told(
            f"Rows {done + 1} to {done + len(batch)} cannot be inserted into {name!r} ({before})"
        ):
            insert(records)
        done += len(batch)
    return done


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn the client's errors into `OutputError`, without importing its package."""
    try:
        yield
    except Exception as error:
        reason = str(getattr(error, "message", error)).rstrip(".")
        raise OutputError(f"{what}: {reason}.") from error


def _doors(
    collection: Any,
) -> tuple[str, Callable[[list[dict[str, Any]]], Any], Callable[[], list[str]]]:
    """The name of the collection, its insert function, and a function that lists its fields."""
    if isinstance(collection, tuple) and len(collection) == 2:
        client, name = collection
        if hasattr(client, "insert") and isinstance(name, str):

            def described() -> list[str]:
                schema = client.describe_collection(name)
                automatic = schema.get("auto_id")
                return [
                    field["name"]
                    for field in schema["fields"]
                    if not (field.get("auto_id") or (automatic and field.get("is_primary")))
                ]

            return name, lambda records: client.insert(name, records), described
    elif hasattr(collection, "insert") and hasattr(collection, "schema"):
        return (
            collection.name,
            collection.insert,
            lambda: [one.name for one in collection.schema.fields if not one.auto_id],
        )
    raise InputError(
        "A Milvus collection is a pair (MilvusClient, name) or a pymilvus.Collection; not "
        f"{type(collection).__name__}."
    )


def _record(row: Any, fields: list[str] | None, name: str, number: int) -> dict[str, Any]:
    """The row as a dictionary of plain values; `fields` are needed when it is not one yet."""
    refuse_failed(row, number)
    if isinstance(row, Mapping) or fields is None:
        return {key: _plain(value) for key, value in row.items()}
    values = row if isinstance(row, tuple) else (row,)
    if len(values) != len(fields):
        raise InputError(
            f"Row {number} has {len(values)} values, but {name!r} takes {len(fields)} "
            f"({', '.join(fields)}); give a dictionary, or a tuple in this order."
        )
    return dict(zip(fields, map(_plain, values), strict=True))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.ndim:
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return plain(value)
