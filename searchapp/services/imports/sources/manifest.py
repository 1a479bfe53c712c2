"""A manifest: a table that names files or addresses, with fields for each image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from django.conf import settings

from searchapp.infra import import_roots
from searchapp.infra.fetch import fetch_picture
from searchapp.infra.upload_handler import HashingWriter
from searchapp.models import ImportItem
from searchapp.services.errors import Invalid, ServiceError
from searchapp.services.imports import image_fields
from searchapp.services.imports.detection import COLUMNS, FILE_COLUMNS, URL_COLUMNS
from searchapp.services.imports.sources import tables
from searchapp.services.imports.sources.base import Listed, Source, SourceError
from searchapp.services.imports.sources.bucket import open_address
from searchapp.services.imports.sources.files import KEPT, check_file, local_file, shown

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_WEB = ("http://", "https://")


class Places:
    """Resolves the entries of a manifest: a web address, a bucket address, or a path.

    A path is one of the server, inside `LOOKALIKE_IMPORT_ROOTS`; a relative one is relative to the
    manifest's folder or, for an uploaded manifest, to each of those roots.
    """

    def __init__(self, location: str, *, beside: tuple[str, ...] = (".",)) -> None:
        if location.startswith(KEPT):
            self._folders = [Path(root) for root in settings.IMPORT_ROOTS]
        else:
            folder = Path(location).parent
            self._folders = [folder / name for name in beside]

    def refusal(self, place: str) -> tuple[str, str] | None:
        """Validate an entry by its form alone, without any lookup."""
        if place.startswith(_WEB):
            return None
        try:
            if "://" in place:
                import_roots.check_bucket(place)
        except ServiceError as error:
            return error.code, error.detail
        return None

    def path(self, place: str) -> Path:
        """Return the real path of a file of the server. Raises `Invalid`."""
        missing: Invalid | None = None
        for folder in self._folders or [Path("/")]:
            try:
                return import_roots.inside(folder / place)
            except Invalid as error:
                missing = error
        assert missing is not None  # noqa: S101 (there is one folder at least)
        raise missing

    def open(self, place: str) -> AbstractContextManager[BinaryIO]:
        if place.startswith(_WEB):
            return _fetched(place)
        if "://" in place:
            return open_address(place)
        return import_roots.open_inside(self.path(place))

    def reference(self, place: str) -> str:
        return place if "://" in place else f"file:{self.path(place)}"


@contextmanager
def _fetched(address: str) -> Iterator[BinaryIO]:
    """Fetch a picture under the rules for untrusted addresses. Raises `FetchError`."""
    writer = HashingWriter()
    try:
        fetch_picture(address, writer)
    except BaseException:
        writer.discard()
        raise
    with writer.finish("") as upload:
        yield cast(BinaryIO, upload.file)


class ManifestSource(Source):
    """The rows of a CSV, JSON Lines or Parquet file."""

    threads = 8  # most rows are addresses, which are slow to answer

    @classmethod
    def check(cls, location: str, user: User | None) -> str:
        return check_file(location)

    def list(self, cursor: str) -> Iterator[Listed]:
        self._places = Places(self.source.location)
        path = local_file(self.source.location)
        for row in tables.rows(path, cursor):
            yield self._listed(row)

    def _listed(self, row: tables.TableRow) -> Listed:
        if row.values is None:
            return Listed(row.name, refusal=("invalid_row", row.error), cursor=row.cursor)
        values = {str(name).strip(): value for name, value in row.values.items()}
        place = _place(values)
        if place is None:
            sentence = f"This row names no file: it has none of {COLUMNS}, or nothing in them."
            return Listed(row.name, refusal=("invalid_row", sentence), cursor=row.cursor)
        if not tables.is_text(place):
            sentence = "The name holds a half of a character (a lone surrogate)."
            return Listed(shown(place), refusal=("invalid_row", sentence), cursor=row.cursor)
        try:
            fields = image_fields.checked(_given(values))
        except ValueError as error:
            return Listed(shown(place), refusal=("invalid_row", str(error)), cursor=row.cursor)
        return Listed(
            shown(place), {"place": place}, fields, self._places.refusal(place), row.cursor
        )

    def open(self, item: ImportItem) -> AbstractContextManager[BinaryIO]:
        return Places(self.source.location).open(_of(item))

    def reference(self, item: ImportItem) -> str:
        return Places(self.source.location).reference(_of(item))


def _of(item: ImportItem) -> str:
    try:
        return str((item.locator or {})["place"])
    except KeyError:
        raise SourceError("invalid_row", "This row names no file.") from None


def _place(values: Mapping[str, Any]) -> str | None:
    lower = {name.lower(): value for name, value in values.items()}
    for column in (*FILE_COLUMNS, *URL_COLUMNS):
        value = lower.get(column)
        if isinstance(value, str) and value.strip() and "\0" not in value:
            return value.strip()[:2000]
    return None


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return title, label and tags from their columns; all other columns are metadata."""
    fields: dict[str, Any] = {"metadata": {}}
    for name, value in values.items():
        column = name.lower()
        if value is None or value == "" or column in (*FILE_COLUMNS, *URL_COLUMNS):
            continue
        if column in ("title", "label", "tags"):
            fields[column] = value
        elif column == "metadata" and isinstance(value, dict):
            fields["metadata"].update(value)
        elif name:
            fields["metadata"][name] = value
    return fields
