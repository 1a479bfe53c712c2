"""Constructors of `DataCollection`: ranges, lists, globs, CSV, Parquet and ZIP files."""

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

from embeddings.errors import InputError
from embeddings.flow.collection.steps import row_step
from embeddings.flow.sources.source import Again, Source

if TYPE_CHECKING:
    from embeddings.flow.collection.steps import Step

StrPath = str | os.PathLike[str]


class Sources:
    """The class methods of `DataCollection` that create one."""

    _source: Source
    _steps: "tuple[Step, ...]"

    @classmethod
    def range(cls, *bounds: int) -> Self:
        """The integers of `range(*bounds)`."""
        try:
            numbers = range(*bounds)
        except (TypeError, ValueError) as error:
            raise InputError(f"A range is made of one to three whole numbers: {error}.") from None
        return cls._from(numbers, repr(numbers))

    @classmethod
    def from_list(cls, rows: Sequence[Any]) -> Self:
        """The items of a list, tuple or array. Raises `InputError` when it has no length."""
        if not hasattr(rows, "__len__"):
            raise InputError(
                f"from_list takes a list, not {type(rows).__name__}; DataCollection(...) takes "
                "any iterable."
            )
        return cls._from(rows, f"{type(rows).__name__} of {len(rows)}")

    @classmethod
    def from_glob(cls, *patterns: StrPath) -> Self:
        """The paths, as text, of the matching files: sorted within a pattern, each once.

        `**` matches any folders. Raises `InputError` when a pattern is invalid.
        """
        from embeddings.flow.sources.files import glob_paths

        return cls._from(Again(glob_paths, *patterns), " ".join(map(str, patterns)))

    @classmethod
    def from_csv(cls, path: StrPath, *, delimiter: str = ",") -> Self:
        """The rows of a CSV file (UTF-8) as dicts of text; the first line names the columns.

        Raises `InputError` when there is no such file.
        """
        from embeddings.flow.sources.files import csv_rows

        return cls._from(Again(csv_rows, path, delimiter=delimiter), os.fspath(path))

    @classmethod
    def from_parquet(cls, path: StrPath, columns: Sequence[str] | None = None) -> Self:
        """The rows of a Parquet file as dicts, lists of numbers as arrays; read in parts.

        Raises `InputError` when there is no such file.
        """
        from embeddings.flow.sources.files import parquet_rows

        return cls._from(Again(parquet_rows, path, columns), os.fspath(path))

    @classmethod
    def from_zip(cls, path: StrPath, pattern: str = "*") -> Self:
        """The files of a ZIP archive whose names match: bytes with an attribute `name`.

        A member that is damaged, or that would exhaust memory, fails as a row does. Raises
        `InputError` when there is no such file.
        """
        from embeddings.flow.sources.files import Archive

        archive = Archive(path, pattern)
        collection = cls._from(Again(archive.entries), f"{os.fspath(path)} {pattern}")
        collection._steps = (row_step("map", archive.read, 1, name="read", reads_source=True),)
        return collection

    @classmethod
    def _from(cls, rows: Iterable[Any], label: str) -> Self:
        collection = cls()
        collection._source = Source(rows, label)
        return collection
