"""Outputs of `DataCollection`: lists, arrays, files, Milvus, and tables for display."""

import itertools
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import Any

from numpy.typing import NDArray

from embeddings.errors import InputError

StrPath = str | os.PathLike[str]


class Ends(ABC):
    """The methods of `DataCollection` that read its rows."""

    @abstractmethod
    def __iter__(self) -> Generator[Any, None, None]:
        """Iterate over the rows from the beginning."""

    def to_list(self) -> list[Any]:
        """All rows."""
        return list(self)

    def to_numpy(self) -> NDArray[Any]:
        """All rows as one array: vectors (D,) as (N, D) with their dtype, numbers as (N,).

        Raises `InputError`, naming the row, when rows have different shapes.
        """
        from embeddings.flow.sinks.array import as_array

        return as_array(self)

    def to_csv(self, path: StrPath) -> int:
        """Write the rows as a CSV file (UTF-8), atomically; return the number of rows.

        The columns are the keys of a dict; any other value is in the one column "value". Arrays are
        written as JSON. Raises `InputError` when a row cannot be stored in a table, such as a
        picture, and `OutputError` when the file cannot be written.
        """
        from embeddings.flow.sinks.csv_file import write_csv

        return write_csv(self, path)

    def to_parquet(self, path: StrPath) -> int:
        """Write the rows as a Parquet file, like `to_csv`; vectors as lists of float32.

        Memory does not grow with the number of rows.
        """
        from embeddings.flow.sinks.parquet_file import write_parquet

        return write_parquet(self, path)

    def to_milvus(self, collection: Any, batch_size: int = 1000) -> int:
        """Insert the rows into a Milvus collection in batches; return the number of rows.

        `collection` is a `pymilvus.Collection`, or a pair of a `MilvusClient` and a name.
        """
        from embeddings.flow.sinks.milvus import insert_into_milvus

        return insert_into_milvus(self, collection, batch_size)

    def first(self) -> Any:
        """The first row; the source is read only as far as needed.

        Raises `InputError` when there is none.
        """
        rows = iter(self)
        try:
            for row in rows:
                return row
        finally:
            rows.close()
        raise InputError("There is no first row: the collection is empty.")

    def count(self) -> int:
        """The number of rows; computes all of them."""
        return sum(1 for _ in self)

    def show(self, limit: int = 5) -> None:
        """Display the first rows: as text, in a notebook as a table with thumbnails."""
        from embeddings.flow.display.table import shown

        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise InputError(f"limit must be a whole number, 1 or more; not {limit!r}.")
        # One more row is read, to show whether others follow.
        table = shown(list(itertools.islice(iter(self), limit + 1)), limit=limit)
        if _in_notebook():
            from IPython import display

            notebook: Any = display
            notebook.display(table)
        else:
            print(table)


def _in_notebook() -> bool:
    """Whether a notebook kernel displays the output."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    return running is not None and hasattr(running, "kernel")
