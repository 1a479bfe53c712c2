"""Cache of converted models and measurements, shared between processes.

It is in `EMBEDDINGS_CACHE`, else `$XDG_CACHE_HOME/lookalike-embeddings`, else
`~/.cache/lookalike-embeddings`, and may be deleted at any time.
"""

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from embeddings.errors import RuntimeUnavailable

_MANIFEST = "manifest.json"


class CacheUnwritable(RuntimeUnavailable):
    """The cache folder cannot be written, so that what a runtime needs cannot be created."""


def folder() -> Path:
    """Return the cache folder, created for its owner only if possible."""
    chosen = os.environ.get("EMBEDDINGS_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    path = Path(chosen) if chosen else Path(base).expanduser() / "lookalike-embeddings"
    with contextlib.suppress(OSError):  # writing to it reports the error
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name` of this cache, so that several processes create an entry only once.

    Raises `CacheUnwritable` when the folder cannot be written.
    """
    path = folder() / f"{name}.lock"
    try:
        file = path.open("a")
    except OSError as error:
        raise CacheUnwritable(
            f"The cache folder {path.parent} cannot be written ({error.strerror}); set "
            "EMBEDDINGS_CACHE to one that can."
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def kept_folder(name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder `name`; `make` writes its files if it is missing or damaged.

    An existing entry can be read from a read-only cache. Raises `CacheUnwritable`, and what
    `make` raises.
    """
    target = folder() / name
    if _whole(target):
        return target
    with locked(name):
        if _whole(target):
            return target
        for old in folder().glob(f".{glob.escape(name)}-*"):  # left by a killed process
            shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(target, ignore_errors=True)
        draft = folder() / f".{name}-{secrets.token_hex(4)}"
        draft.mkdir()
        try:
            make(draft)
            digests = {path.name: _digest(path) for path in sorted(draft.iterdir())}
            (draft / _MANIFEST).write_text(json.dumps(digests))
            os.rename(draft, target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return target


def is_kept(name: str) -> bool:
    """Whether `kept_folder` finds an entry, unless it is damaged."""
    return (folder() / name / _MANIFEST).is_file()


def _whole(target: Path) -> bool:
    try:
        digests = json.loads((target / _MANIFEST).read_text())
        return all(_digest(target / name) == digest for name, digest in digests.items())
    except (OSError, ValueError, AttributeError):
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(name: str) -> Any:
    """Return the value that `write_json` stored under `name`; None if it is missing or invalid."""
    try:
        return json.loads((folder() / f"{name}.json").read_text())
    except (OSError, ValueError):
        return None


def write_json(name: str, value: Any) -> None:
    draft = folder() / f".{name}-{secrets.token_hex(4)}"
    draft.write_text(json.dumps(value, indent=1))
    os.replace(draft, folder() / f"{name}.json")
