"""Open an image's original: stored here, or referenced where it is.

A reference is `file:` with a path inside `LOOKALIKE_IMPORT_ROOTS`, an address of a bucket below
`LOOKALIKE_IMPORT_BUCKETS`, or an address on the web. What is found there is the original only as
long as it has the SHA-256 that it had when it was imported.
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
    """Open the file that `image` is (a part) of.

    A reference is fetched and compared first. That of a web address belongs into a worker: see
    `web_address`.

    Raises:
        FileNotFoundError: where it should be kept here and is not.
        FetchError: where an address on the web gives nothing.
        ServiceError: code `original_changed` where the reference leads to other bytes by now;
            `original_unreachable`, or the reason why nothing may be read there.
    """
    if not image.reference:
        return storage.open_original(image.sha256)
    found = _fetched(image.reference)
    if found.sha256 != image.sha256:
        found.close()
        raise Gone(
            "original_changed",
            "The file that this picture refers to has changed since it was imported; import it "
            "again.",
        )
    found.path.unlink(missing_ok=True)  # the open file stays readable, and leaves nothing behind
    return cast(BinaryIO, found.file)


def web_address(image: Image) -> str | None:
    """Return where on the web the original is, if it is there."""
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
