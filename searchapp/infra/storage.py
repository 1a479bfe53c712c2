"""Stored files by content hash: originals, thumbnails, local features, query images.

Names contain only hashes, so user input never becomes a path.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, default_storage
from django.utils.deconstruct import deconstructible

from searchapp.infra.disk_space import require_room
from searchapp.infra.upload_handler import CHUNK, HashedUpload

THUMBNAIL_SIDES = (256, 512)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@deconstructible
class DurableFileSystemStorage(FileSystemStorage):
    """Writes files atomically, and originals durably.

    A file exists completely or not at all. An original has been synced to disk when `save` returns.
    """

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name  # names are content hashes: an equal name means equal content

    def _save(self, name: str, content: File[bytes]) -> str:
        target = Path(self.path(name))
        new_folders = _make_folders(target.parent)
        durable = name.startswith(("originals/", "imports/"))
        draft = target.with_name(f".{secrets.token_hex(8)}")
        try:
            if not _linked(content, draft):
                with draft.open("xb") as output:
                    for chunk in content.chunks(CHUNK):
                        output.write(chunk)
            if durable:
                _sync(draft)
            os.replace(draft, target)
        finally:
            draft.unlink(missing_ok=True)
        if durable:
            for folder in {target.parent, *(path.parent for path in new_folders)}:
                _sync(folder)
        return name


def _make_folders(folder: Path) -> list[Path]:
    """Create `folder` and its parents; return those that did not exist."""
    if folder.is_dir():  # nearly always; called three times per image
        return []
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


# Different file systems, no support for hard links, or too many links.
_CANNOT_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})


def _linked(content: File[bytes], draft: Path) -> bool:
    """Create a hard link to an uploaded file instead of a copy; return whether that succeeded.

    Closing the upload removes its own name.
    """
    if not isinstance(content, HashedUpload):
        return False
    try:
        os.link(content.path, draft)
    except OSError as error:
        if error.errno in _CANNOT_LINK:
            return False
        raise
    return True


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _name(kind: str, sha256: str, suffix: str = "") -> str:
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"not a SHA-256: {sha256!r}")
    return f"{kind}/{sha256[:2]}/{sha256[2:4]}/{sha256}{suffix}"


def thumbnail_name(key: str, side: int) -> str:
    """Return the stored name of a thumbnail; `key` is the result of `content_keys.thumbnail_key`.

    Raises `FileNotFoundError` when `side` is not one of `THUMBNAIL_SIDES`.
    """
    if side not in THUMBNAIL_SIDES:
        raise FileNotFoundError(f"no thumbnails of {side} pixels are kept")
    return _name("thumbnails", key, f"-{side}.webp")


def _put(name: str, content: File[bytes]) -> None:
    if default_storage.exists(name):
        return
    if isinstance(default_storage, FileSystemStorage):
        require_room(Path(default_storage.location), content.size)
    default_storage.save(name, content)


def _open(name: str) -> BinaryIO:
    return cast(BinaryIO, default_storage.open(name))


def put_original(upload: HashedUpload) -> None:
    """Store the bytes of an image. Call it inside the transaction that writes the image's row."""
    _put(_name("originals", upload.sha256), upload)


def put_query(upload: HashedUpload) -> None:
    """Store the bytes of a query image, until its query expires."""
    _put(_name("queries", upload.sha256), upload)


def put_thumbnail(key: str, side: int, webp: bytes) -> None:
    """Store a thumbnail; `key` is the result of `content_keys.thumbnail_key`."""
    default_storage.save(thumbnail_name(key, side), ContentFile(webp))


def put_query_thumbnail(sha256: str, webp: bytes) -> None:
    default_storage.save(_name("queries", sha256, ".webp"), ContentFile(webp))


def put_features(key: str, data: bytes) -> None:
    """Store the local features of an image; `key` is that of its thumbnails."""
    default_storage.save(_name("features", key, ".features"), ContentFile(data))


def put_import(key: str, upload: HashedUpload) -> None:
    """Store an archive or manifest for an import; `key` has 64 hexadecimal digits."""
    _put(_name("imports", key), upload)


def open_original(sha256: str) -> BinaryIO:
    """Open an original for reading. Raises `FileNotFoundError` when it is missing."""
    return _open(_name("originals", sha256))


def open_import(key: str) -> BinaryIO:
    return _open(_name("imports", key))


def import_path(key: str) -> Path | None:
    """Return the local path of an import's file; None if the storage is not local."""
    try:
        return Path(default_storage.path(_name("imports", key)))
    except NotImplementedError:
        return None


def open_query(sha256: str) -> BinaryIO:
    return _open(_name("queries", sha256))


def query_bytes(sha256: str) -> int | None:
    """Return the size of a query image in bytes; None if it no longer exists."""
    try:
        return default_storage.size(_name("queries", sha256))
    except FileNotFoundError:
        return None


def open_thumbnail(key: str, side: int) -> BinaryIO:
    return _open(thumbnail_name(key, side))


def open_query_thumbnail(sha256: str) -> BinaryIO:
    return _open(_name("queries", sha256, ".webp"))


def read_features(key: str) -> bytes:
    """Return the local features of an image. Raises `FileNotFoundError` when there are none."""
    with _open(_name("features", key, ".features")) as file:
        return file.read()


def delete_original(sha256: str) -> None:
    """Delete an original. The caller must have checked that nothing else uses it."""
    default_storage.delete(_name("originals", sha256))


def delete_thumbnails(key: str) -> None:
    """Delete thumbnails. The caller must have checked that nothing else uses them."""
    for side in THUMBNAIL_SIDES:
        default_storage.delete(thumbnail_name(key, side))


def delete_features(key: str) -> None:
    """Delete local features. The caller must have checked that nothing else uses them."""
    default_storage.delete(_name("features", key, ".features"))


def prefixes(kind: str) -> list[str]:
    """Return the first two digits of the hashes of all files of a kind, ascending."""
    try:
        folders, _ = default_storage.listdir(kind)
    except FileNotFoundError:
        return []
    return sorted(folders)


def stored(kind: str, prefix: str) -> Iterator[str]:
    """Yield the full names of the files of a kind whose hashes begin with `prefix`.

    `kind` is originals, thumbnails, features, queries or imports; `prefix` is two hexadecimal
    digits. Unfinished drafts are included.
    """
    try:
        folders, _ = default_storage.listdir(f"{kind}/{prefix}")
    except FileNotFoundError:
        return
    for folder in sorted(folders):
        try:
            _, files = default_storage.listdir(f"{kind}/{prefix}/{folder}")
        except FileNotFoundError:  # the last file was just deleted, and its folder with it
            continue
        yield from (f"{kind}/{prefix}/{folder}/{file}" for file in sorted(files))


def age_of(name: str) -> float | None:
    """Return the seconds since a stored file was written; None if it no longer exists."""
    try:
        return time.time() - default_storage.get_modified_time(name).timestamp()
    except FileNotFoundError:
        return None


def has_original(sha256: str) -> bool:
    return default_storage.exists(_name("originals", sha256))


def has_features(key: str) -> bool:
    return default_storage.exists(_name("features", key, ".features"))


def has_thumbnails(key: str) -> bool:
    return all(default_storage.exists(thumbnail_name(key, side)) for side in THUMBNAIL_SIDES)


def delete_stored(name: str) -> None:
    """Delete a file that `stored` named. The caller must have checked that nothing uses it."""
    default_storage.delete(name)


def delete_import(key: str) -> None:
    default_storage.delete(_name("imports", key))


def delete_query_files(sha256: str) -> None:
    default_storage.delete(_name("queries", sha256))
    default_storage.delete(_name("queries", sha256, ".webp"))
