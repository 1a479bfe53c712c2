"""Read one file of an import: within limits, hashed and validated, without the database."""

from __future__ import annotations

import io
import logging
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from django.conf import settings
from django.db import connections

from embeddings.errors import ImageError
from searchapp.infra import storage
from searchapp.infra.fetch import FetchError
from searchapp.infra.upload_handler import CHUNK, HashedUpload, HashingWriter
from searchapp.models import ImportItem, ItemState, SourceKind
from searchapp.services.errors import ServiceError
from searchapp.services.imports import validation
from searchapp.services.imports.options import REFERENCE, ImportOptions
from searchapp.services.imports.sources import Source, SourceError
from searchapp.services.imports.sources.files import gone

log = logging.getLogger(__name__)
_QUALITY = 92  # of a JPEG that is stored instead of a larger picture


@dataclass
class Refusal:
    """Why a file was not imported: rejected (it is bad) or failed (it may be readable later)."""

    state: ItemState
    code: str
    sentence: str


@dataclass
class Read:
    """The result of reading one file: an upload, with the SHA-256 of the original bytes; or a
    refusal."""

    upload: HashedUpload | None = None
    sent: str = ""
    reference: str = ""
    refusal: Refusal | None = None
    milliseconds: int = 0

    def close(self) -> None:
        if self.upload is not None:
            self.upload.close()


def read(source: Source | None, item: ImportItem, options: ImportOptions) -> Read:
    """Read one file; any problem is part of the result."""
    started = time.perf_counter()
    result = Read()
    try:
        _read(result, source, item, options)
    except (SourceError, FetchError) as error:
        state = ItemState.FAILED if error.retryable else ItemState.REJECTED
        result.refusal = Refusal(state, error.code, error.detail)
    except ServiceError as error:
        # The path existed when it was listed, and may exist again.
        result.refusal = Refusal(ItemState.FAILED, error.code, error.detail)
    except ImageError as error:
        result.refusal = Refusal(ItemState.REJECTED, error.code, error.detail)
    except OSError as error:
        log.warning("%s cannot be read: %s", item.name, error)
        message = f"This file cannot be read: {error.strerror or 'the connection broke off'}."
        result.refusal = Refusal(ItemState.FAILED, "unreadable", message)
    except Exception:
        log.exception("reading %s failed", item.name)
        message = "The worker failed; its log says why."
        result.refusal = Refusal(ItemState.FAILED, "internal_error", message)
    finally:
        connections.close_all()  # a source that queries the database does so in this thread
    result.milliseconds = round(1000 * (time.perf_counter() - started))
    return result


def _read(result: Read, source: Source | None, item: ImportItem, options: ImportOptions) -> None:
    with _opened(source, item) as file:
        result.upload = copied(file, item.name)
    result.sent = result.upload.sha256
    nested = source is not None and source.source.kind == SourceKind.ARCHIVE
    refusal = validation.refusal_of_upload(result.upload, nested=nested)
    if refusal is not None:
        result.refusal = Refusal(ItemState.REJECTED, *refusal)
        return
    if options.keep == REFERENCE and source is not None:
        result.reference = source.reference(item)
    if options.max_side is not None and not item.given.get("box") and not options.dry_run:
        smaller = _smaller(result.upload, options.max_side)
        if smaller is not None:
            result.upload.close()
            result.upload = smaller


def _opened(source: Source | None, item: ImportItem) -> AbstractContextManager[BinaryIO]:
    if source is not None:
        return source.open(item)
    try:
        return storage.open_import((item.locator or {})["kept"])
    except (KeyError, FileNotFoundError):
        raise gone() from None


def copied(file: BinaryIO, name: str) -> HashedUpload:
    """Copy a file to the upload folder and hash it. Reads no more than the limit.

    Raises `SourceError` with code `file_too_large`.
    """
    writer = HashingWriter()
    try:
        while chunk := file.read(CHUNK):
            writer.write(chunk)
            if writer.size > settings.MAX_UPLOAD_BYTES:
                limit = settings.MAX_UPLOAD_BYTES / 1e6
                raise SourceError("file_too_large", f"This file has more than {limit:g} MB.")
    except BaseException:
        writer.discard()
        raise
    return writer.finish(name.rpartition("/")[2])


def _smaller(upload: HashedUpload, side: int) -> HashedUpload | None:
    """Return the picture with at most `side` pixels on its long side; None when it is small enough.
    Raises `ImageError` when it cannot be decoded."""
    from embeddings.operators.decode.pillow import decode
    from embeddings.operators.thumbnails import shrink

    decoded = decode(upload.path, max_pixels=settings.MAX_PIXELS)
    if max(decoded.width, decoded.height) <= side:
        return None
    small = shrink(decoded.image, side)
    written = io.BytesIO()
    small.save(written, "JPEG", quality=_QUALITY, subsampling=0, optimize=True)
    writer = HashingWriter()
    writer.write(written.getvalue())
    return writer.finish(upload.name or "")
