"""Checks that imports read only the allowed folders and buckets."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from searchapp.services.errors import Invalid


def inside(path: str | Path) -> Path:
    """Return the real path of a file or folder within `LOOKALIKE_IMPORT_ROOTS`.

    Raises `Invalid`, code `path_not_allowed`, when the path is outside of them, also through a
    symbolic link; code `path_missing` when it does not exist; and code `unreadable` when the
    server may not read its folder.
    """
    candidate = Path(path)
    if not candidate.is_absolute() or "\0" in str(path):
        raise _elsewhere()
    try:
        roots = [root.resolve() for root in settings.IMPORT_ROOTS]
        real = candidate.resolve()
    except (OSError, RuntimeError):  # a loop of symbolic links
        raise _elsewhere() from None
    # Check permission before existence, so that errors reveal nothing about paths outside.
    if not any(real.is_relative_to(root) for root in roots):
        raise _elsewhere()
    try:
        real.lstat()
    except PermissionError:
        raise Invalid("unreadable", "The server may not look into this folder.") from None
    except OSError:  # it does not exist, or the name is invalid, such as too long
        raise Invalid("path_missing", "There is no such file or folder on the server.") from None
    return real


def _elsewhere() -> Invalid:
    if not settings.IMPORT_ROOTS:
        return Invalid(
            "path_not_allowed",
            "No folder of the server may be imported from: LOOKALIKE_IMPORT_ROOTS is empty.",
        )
    return Invalid(
        "path_not_allowed",
        "Only paths inside the folders that LOOKALIKE_IMPORT_ROOTS names may be imported from.",
    )


def open_inside(path: str | Path) -> BinaryIO:
    """Open a regular file within the roots.

    Raises `Invalid`, code `not_a_file`, when it is not a regular file, code `unreadable` when it
    cannot be read, and otherwise when `inside` does.
    """
    # Do not follow a link created since the check, and do not block on a pipe without a writer.
    try:
        handle = os.open(inside(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Invalid("path_missing", "There is no such file on the server any more.") from None
    except OSError as error:
        raise Invalid(
            "unreadable", f"The server cannot read this file: {error.strerror}."
        ) from None
    file = os.fdopen(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        file.close()
        raise Invalid("not_a_file", "This is no plain file.")
    return file


def check_bucket(address: str) -> str:
    """Return an address such as `s3://photos/2026/` when `LOOKALIKE_IMPORT_BUCKETS` allows it.

    Raises `Invalid`, code `bucket_not_allowed`, when it does not.
    """
    parts = address.partition("://")[2].split("/")
    for allowed in settings.IMPORT_BUCKETS:
        stem = allowed.rstrip("/")
        if (address == stem or address.startswith(f"{stem}/")) and ".." not in parts:
            return address
    raise Invalid(
        "bucket_not_allowed",
        "Only below the prefixes that LOOKALIKE_IMPORT_BUCKETS names may be imported from"
        + ("." if settings.IMPORT_BUCKETS else "; it is empty."),
    )
