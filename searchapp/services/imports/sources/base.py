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
    """One file of a source."""

    name: str
    locator: dict[str, Any] = field(default_factory=dict)  # JSON: what `open` needs
    given: dict[str, Any] = field(default_factory=dict)  # JSON: title, label, tags, metadata, box
    refusal: tuple[str, str] | None = None  # code, sentence: the row is rejected at once
    cursor: str = ""  # where a listing continues behind this file


class SourceError(ServiceError):
    """A source, or a file of one, cannot be read.

    `retryable` says whether a later try may work: such a file fails, others are rejected.
    """

    def __init__(self, code: str, detail: str, *, retryable: bool = False) -> None:
        super().__init__(code, detail)
        self.retryable = retryable


class Source(ABC):
    """Lists and opens the files of one source. Files are opened from several threads."""

    # How many files are read at once.
    threads: ClassVar[int] = 2
    # Called now and then during long operations, so that the job's lease does not expire.
    alive: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, source: ImportSource, options: ImportOptions) -> None:
        self.source = source
        self.options = options

    @classmethod
    def check(cls, location: str, user: User | None) -> str:
        """Validate the location of a new import and return it as it is stored.

        Raises `Invalid` when the user may not import from there, or there is nothing to import.
        """
        return location

    @abstractmethod
    def list(self, cursor: str) -> Iterator[Listed]:
        """Yield the files behind `cursor` (all of them, when it is empty), in a fixed order.

        Raises `SourceError` when the whole source cannot be read.
        """

    @abstractmethod
    def open(self, item: ImportItem) -> AbstractContextManager[BinaryIO]:
        """Open one file.

        Raises `SourceError` or `FetchError` when it cannot be read.
        """

    def reference(self, item: ImportItem) -> str:
        """Return the reference by which `infra.originals` finds the file later; empty when the file
        must be copied."""
        return ""


class InPlaceSource(Source):
    """A source that can also name existing images, which are changed in place and not read."""

    in_place: bool  # whether this source does
    follows_images = False  # whether its rows wait for what workers make of the images

    @abstractmethod
    def perform(self, items: Sequence[ImportItem]) -> dict[int, int]:
        """Change the images that these rows name, when the source is `in_place`; return each row's
        image from now on, by the row's key. Idempotent."""
