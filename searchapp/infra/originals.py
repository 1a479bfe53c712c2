"""Open the original of an image, which is stored here or referenced elsewhere.

A reference is `file:` with a path inside `LOOKALIKE_IMPORT_ROOTS`, an address of a bucket below
`LOOKALIKE_IMPORT_BUCKETS`, or an address on the web. The file there counts as the original only
while it has the same SHA-256 as at import.
"""

from __future__ import annotations

from typing import BinaryIO, cast

from searchapp.infra import import_roots, storage
from searchapp.infra.upload_handler import CHUNK, HashedUpload, HashingWriter
from searchapp.models import Image
from searchapp.services.errors import Gone, Invalid, Unavailable

FILE = "file:"
_WEB = ("https://", "http://")


def open_original(image: Image) -> BinaryIO:
    """Open the file that contains `image`.

    A referenced file is fetched, and its hash compared, first. Only workers should do this for a
    web address: see `web_address`.

    Raises `FileNotFoundError` when the original should be stored here but is missing. Raises
    `FetchError` when a web address cannot be fetched. Raises `ServiceError`, code
    `original_changed`, when the referenced file has changed; code `original_missing` when it is
    gone or cannot be read; code `original_unreachable` when its bucket does not answer; and code
    `bucket_not_allowed` when imports may not read its bucket.
    """
    if not image.reference:
        return storage.open_original(image.sha256)
    upload = _fetched(image.reference)
    if upload.sha256 != image.sha256:
        upload.close()
        raise Gone(
            "original_changed",
            "The file that this picture refers to has changed since it was imported; import it "
            "again.",
        )
    upload.path.unlink(missing_ok=True)  # the open file stays readable, and needs no cleanup
    return cast(BinaryIO, upload.file)


def web_address(image: Image) -> str | None:
    """Return the web address of the original, or None if it is not on the web."""
    return image.reference if image.reference.startswith(_WEB) else None


def _fetched(reference: str) -> HashedUpload:
    writer = HashingWriter()
    try:
        if reference.startswith(_WEB):
            from searchapp.infra.fetch import fetch_picture

            fetch_picture(reference, writer)
        else:
            with _opened(reference) as file:
                while chunk := file.read(CHUNK):
                    writer.write(chunk)
    except BaseException:
        writer.discard()
        raise
    return writer.finish("")


def _opened(reference: str) -> BinaryIO:
    if reference.startswith(FILE):
        try:
            return import_roots.open_inside(reference.removeprefix(FILE))
        except Invalid as error:
            raise Gone(
                "original_missing",
                f"The file that this picture refers to cannot be read: {error.detail}",
            ) from None
    from searchapp.infra import buckets

    try:
        return buckets.open_file(reference)
    except FileNotFoundError:
        raise Gone("original_missing", "The file that this picture refers to is gone.") from None
    except buckets.BucketUnreachable as error:
        raise Unavailable("original_unreachable", f"The picture's bucket: {error}.") from None
