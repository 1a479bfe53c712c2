"""Import from a bucket: a prefix below one of `LOOKALIKE_IMPORT_BUCKETS`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from typing import TYPE_CHECKING, BinaryIO

from django.conf import settings

from searchapp.infra import buckets
from searchapp.models import ImportItem
from searchapp.services.errors import ServiceError
from searchapp.services.imports.image_fields import LABEL_LENGTH
from searchapp.services.imports.sources.base import Listed, Source, SourceError
from searchapp.services.imports.sources.files import is_hidden, shown

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class BucketSource(Source):
    """All files below a prefix, by name."""

    threads = 16  # each waits for the network most of the time

    @classmethod
    def check(cls, location: str, user: User | None) -> str:
        return buckets.check(location.strip())

    def list(self, cursor: str) -> Iterator[Listed]:
        prefix = self.source.location
        try:
            for address, size in buckets.names(prefix, cursor):
                yield self._file(address, size, prefix)
        except (OSError, ServiceError) as error:
            reason = error.detail if isinstance(error, ServiceError) else str(error.strerror)
            raise SourceError(
                "unreadable", f"The bucket cannot be listed: {reason}", retryable=True
            ) from None

    def _file(self, address: str, size: int, prefix: str) -> Listed:
        name = address.removeprefix(prefix).lstrip("/") or address.rpartition("/")[2]
        parts = name.split("/")
        refusal = None
        if size > settings.MAX_UPLOAD_BYTES:
            # Not even started: transfers cost money.
            limit = settings.MAX_UPLOAD_BYTES / 1e6
            refusal = ("file_too_large", f"This file has more than {limit:g} MB.")
        if is_hidden(parts[-1]):
            refusal = ("hidden_file", "Hidden files and those of systems are left out.")
        fields = {}
        if self.options.label_from_folder and len(parts) > 1:
            fields["label"] = parts[-2][:LABEL_LENGTH]
        return Listed(shown(name), {"address": address}, fields, refusal, cursor=address)

    def open(self, item: ImportItem) -> AbstractContextManager[BinaryIO]:
        return open_address(str((item.locator or {})["address"]))

    def reference(self, item: ImportItem) -> str:
        return str((item.locator or {})["address"])


def open_address(address: str) -> AbstractContextManager[BinaryIO]:
    """Open a file of a bucket. Raises `SourceError`."""
    try:
        return closing(buckets.open_file(address))
    except FileNotFoundError:
        raise SourceError("path_missing", "There is no such file in the bucket.") from None
