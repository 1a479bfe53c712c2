"""`Source`: the interface of every source of an import."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from searchapp.models import ImportItem, ImportSource
from searchapp.services.errors import ServiceError
from searchapp.services.imports.options import ImportOptions

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@dataclass(frozen=True)
class Listed:
    """One file that a source names."""

    name: str
    locator: dict[str, Any] = field(default_factory=dict)  # JSON: what `open` needs
    given: dict[str, Any] = field(default_factory=dict)  # JSON: title, label, tags, metadata, box
    refusal: tuple[str, str] | None = None  # code, sentence: a rejected row at once
    cursor: str = ""  # where a listing that goes on behind this file begins


class SourceError(ServiceError):
    """A source, or a file of one, cannot be read.

    `retryable` says whether the same may work later: such a file fails, others are rejected.
    """

    def __init__(self, code: str, detail: str, *, retryable: bool = False) -> None:
        super().__init__(code, detail)
        self.retryable = retryable


class Source(ABC):
    """Lists the files of one place, and opens them. Files are opened from several threads."""

    # How many files are read at once.
    threads: ClassVar[int] = 2
    # Called now and then while something takes long, so that the job's lease does not end.
    alive: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, source: ImportSource, options: ImportOptions) -> None:
        self.source = source
        self.options = options

    @classmethod
    def check(cls, location: str, user: User | None) -> str:
        """Return `location` as it is stored, when somebody asks for an import from there.

        Raises:
            Invalid: where nothing may be, or is, imported from there.
        """
        return location

    @abstractmethod
    def list(self, cursor: str) -> Iterator[Listed]:
        """Name the files behind `cursor` (all of them, where it is empty), in a fixed order.

        Raises:
            SourceError: where the whole place cannot be read.
        """

    @abstractmethod
    def open(self, item: ImportItem) -> AbstractContextManager[BinaryIO]:
        """Open one file.

        Raises:
            SourceError, FetchError: where it cannot be read.
        """

    def reference(self, item: ImportItem) -> str:
        """Return what `infra.originals` finds the file by later; empty where only a copy lasts."""
        return ""


class InPlaceSource(Source):
    """A source that can be images, which are not read but changed where they are."""

    in_place: bool  # whether this one is

    @abstractmethod
    def perform(self, items: Sequence[ImportItem]) -> dict[int, int]:
        """Change, where the source is `in_place`, the images that these rows name; return which
        image each row has from now on, by its key. Doing it again changes nothing more."""
