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

# Unix socket paths end at about 108 bytes; the longest name that we put below is 'milvus.sock'.
_MAX_RUNTIME_DIR_LENGTH = 90
# Clients get the sockets as addresses, in which %, #, ? and the like mean something else.
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


def runtime_dir(data_dir: Path) -> Path:
    """Return the folder for sockets and process files: `run` in the data folder where that is
    short and plain enough, else a private folder under the temporary directory named after it.
    """
    inside = data_dir / "run"
    if len(os.fsencode(inside)) <= _MAX_RUNTIME_DIR_LENGTH and _PLAIN.fullmatch(str(inside)):
        return inside
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"lookalike-{os.getuid()}-{digest}"


def make_private(folder: Path) -> Path:
    """Create `folder` for this user alone; refuse one that belongs to somebody else."""
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
    """Return the secret in `file`, made at the first call and readable by this user only.

    Two processes that start at once agree: the first to link its file wins.
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
