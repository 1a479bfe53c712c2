"""Local files that a source reads: from an upload, or in a folder of the server."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from django.conf import settings

from searchapp.infra import import_roots, storage
from searchapp.services.errors import Invalid, ServiceError
from searchapp.services.imports.sources.base import SourceError

# Prefix of the location of a file stored under `imports/`.
KEPT = "kept:"
_NAME = 1000  # characters
# Files that operating systems put beside pictures; they get no row.
_SYSTEM = frozenset(
    {"thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information"}
)


def is_hidden(name: str) -> bool:
    """Whether the last part of a path is a system file, or hidden."""
    return name.startswith(".") or name.lower() in _SYSTEM


def shown(name: str) -> str:
    """Return a file's name as it can be stored and shown, whatever its bytes; long names keep their
    end."""
    return (
        name.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()[-_NAME:]
    )


def check_file(location: str) -> str:
    """Return the real path of a readable file of the server. Raises `Invalid`."""
    path = import_roots.inside(location)
    if not path.is_file():
        raise Invalid("not_a_file", "This is a folder; the path of a file is needed.")
    return str(path)


def local_file(location: str) -> Path:
    """Return a local path of a source's file, copied here from another store if needed.

    Raises `SourceError` when it is gone, or may no longer be read.
    """
    if not location.startswith(KEPT):
        try:
            return import_roots.inside(location)
        except ServiceError as error:
            raise SourceError(error.code, error.detail, retryable=True) from None
    key = location.removeprefix(KEPT)
    path = storage.import_path(key)
    if path is None:
        path = copy_path(key)
        if not path.exists():
            _bring(key, path)
    if not path.exists():
        raise gone()
    return path


def copy_path(key: str, suffix: str = "") -> Path:
    """Return the local path of data derived from a source, kept while the job runs."""
    return Path(settings.UPLOAD_DIR) / f"source-{key}{suffix}"


def gone() -> SourceError:
    return SourceError(
        "source_gone", "The file that was sent is no longer kept; send it again in a new import."
    )


def _bring(key: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"upload-{secrets.token_hex(8)}")
    try:
        with storage.open_import(key) as source, draft.open("xb") as output:
            shutil.copyfileobj(source, output, 1 << 20)
        os.replace(draft, target)
    except FileNotFoundError:
        raise gone() from None
    finally:
        draft.unlink(missing_ok=True)
