"""Django upload handler that counts and hashes files while writing them to disk."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest

from searchapp.infra.disk_space import require_room

CHUNK = 256 * 1024


def temporary_file() -> IO[bytes]:
    """Open a new file in the upload folder; the sweeper deletes files of killed processes."""
    require_room(settings.UPLOAD_DIR)
    settings.UPLOAD_DIR.mkdir(parents=True, exist_ok=True)
    return tempfile.NamedTemporaryFile(dir=settings.UPLOAD_DIR, prefix="upload-", delete=False)


def refusal_of(size: int) -> tuple[str, str] | None:
    """Return error code and message if a file of this size is refused, else None."""
    if size == 0:
        return "empty_file", "This file is empty: it has 0 bytes."
    limit: int = settings.MAX_UPLOAD_BYTES
    if size > limit:
        return (
            "file_too_large",
            f"This file has {size / 1e6:.1f} MB; at most {limit / 1e6:g} MB are accepted.",
        )
    return None


class HashedUpload(UploadedFile[Any]):
    """A file on disk, with the SHA-256 and the size of everything that was sent.

    Of a file over the size limit, only the hash and the size are complete, not the bytes.
    """

    def __init__(self, file: IO[bytes], name: str, size: int, sha256: str) -> None:
        super().__init__(file, name or None, size=size)  # a fetched image has no file name
        self.path = Path(file.name)
        self.sha256 = sha256
        self.refusal = refusal_of(size)

    @classmethod
    def of_path(cls, path: Path, name: str = "") -> HashedUpload:
        """Return a copy of a local file, as if it had been uploaded."""
        writer = HashingWriter()
        with path.open("rb") as source:
            while chunk := source.read(CHUNK):
                writer.write(chunk)
        return writer.finish(name or path.name)

    def temporary_file_path(self) -> str:
        return str(self.path)

    def close(self) -> None:
        super().close()
        self.path.unlink(missing_ok=True)


class HashingWriter:
    """Counts and hashes all data, and writes it up to the size limit."""

    def __init__(self) -> None:
        self._file = temporary_file()
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.size += len(data)
        if self.size <= settings.MAX_UPLOAD_BYTES:
            self._file.write(data)
        return len(data)

    def finish(self, name: str) -> HashedUpload:
        self._file.flush()
        self._file.seek(0)
        return HashedUpload(self._file, name, self.size, self._digest.hexdigest())

    def discard(self) -> None:
        self._file.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._file.name)


def _drafts_of(request: HttpRequest) -> list[HashingWriter]:
    drafts: list[HashingWriter] = request.__dict__.setdefault("upload_drafts", [])
    return drafts


def discard_drafts(request: HttpRequest) -> None:
    """Remove all that was written of a request's files, whether or not they came whole."""
    for draft in _drafts_of(request):
        draft.discard()
    _drafts_of(request).clear()


class HashingUploadHandler(FileUploadHandler):
    """The upload handler for the whole site."""

    chunk_size = CHUNK
    _writer: HashingWriter | None = None

    def handle_raw_input(
        self,
        input_data: IO[bytes],
        META: dict[str, str],
        content_length: int,
        boundary: str,
        encoding: str | None = None,
    ) -> None:
        if content_length > settings.MAX_REQUEST_BYTES:
            raise RequestDataTooBig(
                f"The request has {content_length / 1e6:.0f} MB; at most "
                f"{settings.MAX_REQUEST_BYTES / 1e6:g} MB are accepted. Send fewer files at once."
            )

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._writer = HashingWriter()
        if self.request is not None:
            _drafts_of(self.request).append(self._writer)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        assert self._writer is not None  # noqa: S101 (Django calls new_file first)
        self._writer.write(raw_data)

    def file_complete(self, file_size: int) -> HashedUpload:
        assert self._writer is not None  # noqa: S101
        writer, self._writer = self._writer, None
        return writer.finish(self.file_name or "")

    def upload_interrupted(self) -> None:
        if self._writer is not None:
            self._writer.discard()
            self._writer = None
