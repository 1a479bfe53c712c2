"""Paths of the embedded installation: state, sockets, secret key."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import tempfile
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

# Unix socket paths are limited to about 108 bytes; the longest name in the folder is 'milvus.sock'.
_MAX_RUNTIME_DIR_LENGTH = 90
# Clients get the sockets as URLs, in which characters such as %, # and ? have a special meaning.
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


def runtime_dir(data_dir: Path) -> Path:
    """Return the folder for sockets and process files.

    It is `run` in the data folder if that path is short enough and has no special characters, else
    a private folder in the temporary directory, named after the data folder.
    """
    inside = data_dir / "run"
    if len(os.fsencode(inside)) <= _MAX_RUNTIME_DIR_LENGTH and _PLAIN.fullmatch(str(inside)):
        return inside
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"lookalike-{os.getuid()}-{digest}"


def make_private(folder: Path) -> Path:
    """Create `folder`, readable by this user only; refuse one that belongs to another user."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise ImproperlyConfigured(
                f"{folder} belongs to another user; remove it or choose another LOOKALIKE_DATA_DIR."
            )
    except OSError as error:
        raise ImproperlyConfigured(
            f"LOOKALIKE_DATA_DIR: the folder {folder} cannot be made: {error.strerror}."
        ) from None
    return folder


def kept_secret(file: Path, length: int = 50) -> str:
    """Return the secret in `file`, which the first call creates, readable by this user only.

    Two processes that start at the same time use the same secret: that of the first to link its
    file.
    """
    with contextlib.suppress(FileNotFoundError):
        return file.read_text().strip()
    make_private(file.parent)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        handle.write(secrets.token_urlsafe(length))
        handle.flush()
        os.fsync(handle.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(draft, file)
    draft.unlink()
    return file.read_text().strip()
