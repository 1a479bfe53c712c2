"""The words of the protocol tus 1.0.0: its headers, read and written."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.conf import settings

from searchapp.infra.upload_handler import CHUNK
from searchapp.services.errors import Invalid, ServiceError
from searchapp.services.imports import image_fields
from searchapp.services.uploads.resumable import Announced

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,expiration,checksum"
CONTENT_TYPE = "application/offset+octet-stream"
ALGORITHMS: dict[str, Callable[[], Any]] = {
    "sha256": hashlib.sha256,
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "md5": lambda: hashlib.md5(usedforsecurity=False),
}
Read = Callable[[int], bytes]
Headers = Mapping[str, str]
_NUMBER = re.compile(r"[0-9]{1,18}")
_NAME_LENGTH = 1000


def check_version(version: str | None) -> None:
    """Raises ServiceError: code `tus_version`."""
    if version != VERSION:
        raise ServiceError(
            "tus_version", f"Send the header 'Tus-Resumable: {VERSION}'.", status=412
        )


def _invalid(sentence: str) -> Invalid:
    return Invalid("invalid_upload", sentence)


def number(headers: Headers, name: str) -> int:
    """Read a header that holds a number of bytes.

    Raises:
        Invalid: code `invalid_upload`.
    """
    value = headers.get(name, "")
    if not _NUMBER.fullmatch(value):
        raise _invalid(f"The header {name} must be a whole number of bytes.")
    return int(value)


def body_length(headers: Headers) -> int:
    """Return the number of bytes that the request brings.

    Raises:
        ServiceError: code `unsupported_media_type`, unless they come as they should.
    """
    length = number(headers, "Content-Length") if headers.get("Content-Length") else 0
    if length and headers.get("Content-Type") != CONTENT_TYPE:
        raise ServiceError(
            "unsupported_media_type", f"Send the bytes as Content-Type {CONTENT_TYPE}.", status=415
        )
    return length


def announcement(headers: Headers) -> tuple[Announced, str]:
    """Read what announces an upload: itself, and the key of the import that it is for.

    Raises:
        Invalid: code `invalid_upload`.
    """
    if headers.get("Upload-Defer-Length"):
        raise _invalid("Send the header Upload-Length: uploads of unknown length are not taken.")
    size = number(headers, "Upload-Length")
    sent = metadata(headers.get("Upload-Metadata", ""))
    if not sent.get("job"):
        raise _invalid("Upload-Metadata must have 'job': the id of an open import.")
    name = _name(sent)
    try:
        fields = image_fields.checked(
            {part: sent[part] for part in ("title", "label", "tags") if sent.get(part)}
        )
    except ValueError as error:
        raise _invalid(f"Upload-Metadata: {error}") from None
    return Announced(size, name, sent.get("key", ""), fields, sent), sent["job"]


def _name(sent: Mapping[str, str]) -> str:
    """The path within the folder that was sent, where there is one, else the file's name."""
    path = sent.get("relativePath", "")
    name = path if path not in ("", "null") else sent.get("filename") or sent.get("name") or ""
    return "".join(letter for letter in name if letter.isprintable())[-_NAME_LENGTH:]


def metadata(header: str) -> dict[str, str]:
    """Read `name base64,name base64,…`; a name may stand without a value.

    Raises:
        Invalid: code `invalid_upload`.
    """
    values: dict[str, str] = {}
    for pair in header.split(",") if header.strip() else []:
        name, _, encoded = pair.strip().partition(" ")
        if not name.isascii() or not name or name in values:
            raise _invalid("Upload-Metadata has pairs of a name and a value, each name once.")
        try:
            value = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, ValueError):
            raise _invalid(f"Upload-Metadata: the value of '{name[:40]}' is not Base64.") from None
        if "\0" in value:
            raise _invalid(f"Upload-Metadata: '{name[:40]}' holds the character NUL.")
        values[name] = value
    return values


def written_metadata(sent: Mapping[str, str]) -> str:
    """As `metadata` reads it."""
    pairs = ((name, base64.b64encode(value.encode()).decode()) for name, value in sent.items())
    return ",".join(f"{name} {encoded}".strip() for name, encoded in pairs)


@contextmanager
def proved(read: Read, length: int, header: str | None) -> Iterator[Read]:
    """Return `read`, or, where there is a checksum, one that reads what has proved right.

    Raises:
        Invalid: code `invalid_upload` for a checksum of an unknown kind.
        ServiceError: code `checksum_mismatch`.
    """
    if header is None:
        yield read
        return
    name, _, encoded = header.partition(" ")
    try:
        digest, promised = ALGORITHMS[name](), base64.b64decode(encoded, validate=True)
    except (KeyError, binascii.Error, ValueError):
        raise _invalid(
            f"Upload-Checksum is one of {', '.join(ALGORITHMS)}, a blank, and Base64."
        ) from None
    settings.UPLOAD_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=settings.UPLOAD_DIR) as draft:
        left = length
        while left and (data := read(min(CHUNK, left))):
            digest.update(data)
            draft.write(data)
            left -= len(data)
        if not hmac.compare_digest(digest.digest(), promised):
            raise ServiceError(
                "checksum_mismatch",
                "The bytes differ from their checksum: send them again.",
                status=460,
            )
        draft.seek(0)
        yield draft.read
