"""Stored files by content hash: originals, thumbnails, local features, query pictures.

Names are made from hashes alone, so nothing that a user typed ever becomes a path.
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

from searchapp.infra.upload_handler import CHUNK, HashedUpload

THUMBNAIL_SIDES = (256, 512)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@deconstructible
class DurableFileSystemStorage(FileSystemStorage):
    """A file is there whole or not at all; an original has reached the disk when `save` returns."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name  # names are content hashes: the same name is the same content

    def _save(self, name: str, content: File[bytes]) -> str:
        target = Path(self.path(name))
        made = _make_folders(target.parent)
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
            for folder in {target.parent, *(path.parent for path in made)}:
                _sync(folder)
        return name


def _make_folders(folder: Path) -> list[Path]:
    """Create `folder` and return those of its parents, and itself, that were not there."""
    if folder.is_dir():  # nearly always, and asked thrice a picture
        return []
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


# Two file systems, or one that has no links or no room for one more.
_CANNOT_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})


def _linked(content: File[bytes], draft: Path) -> bool:
    """Give an uploaded file a second name, not a copy; closing it takes the first one away."""
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
    """The stored name of a thumbnail; `key` is the result of `content_keys.thumbnail_key`."""
    if side not in THUMBNAIL_SIDES:
        raise FileNotFoundError(f"no thumbnails of {side} pixels are kept")
    return _name("thumbnails", key, f"-{side}.webp")


def _put(name: str, content: File[bytes]) -> None:
    if not default_storage.exists(name):
        default_storage.save(name, content)


def _open(name: str) -> BinaryIO:
    return cast(BinaryIO, default_storage.open(name))


def put_original(upload: HashedUpload) -> None:
    """Keep the bytes of an image. Call it inside the transaction that writes the image's row."""
    _put(_name("originals", upload.sha256), upload)


def put_query(upload: HashedUpload) -> None:
    """Keep the bytes of a query picture for as long as its query lives."""
    _put(_name("queries", upload.sha256), upload)


def put_thumbnail(key: str, side: int, webp: bytes) -> None:
    """Keep a thumbnail; `key` is that of `searchapp.infra.content_keys.thumbnail_key`."""
    default_storage.save(thumbnail_name(key, side), ContentFile(webp))


def put_query_thumbnail(sha256: str, webp: bytes) -> None:
    default_storage.save(_name("queries", sha256, ".webp"), ContentFile(webp))


def put_features(key: str, data: bytes) -> None:
    """Keep an image's local features; `key` is that of its thumbnails."""
    default_storage.save(_name("features", key, ".features"), ContentFile(data))


def put_import(key: str, upload: HashedUpload) -> None:
    """Keep a file that an import will read: an archive, a manifest. `key` has 64 hex digits."""
    _put(_name("imports", key), upload)


def open_original(sha256: str) -> BinaryIO:
    """Open an original for reading; raises FileNotFoundError."""
    return _open(_name("originals", sha256))


def open_import(key: str) -> BinaryIO:
    return _open(_name("imports", key))


def import_path(key: str) -> Path | None:
    """Return where this machine has such a file; None where the storage is elsewhere."""
    try:
        return Path(default_storage.path(_name("imports", key)))
    except NotImplementedError:
        return None


def open_query(sha256: str) -> BinaryIO:
    return _open(_name("queries", sha256))


def query_bytes(sha256: str) -> int | None:
    """Return how large a query picture's file is; None where it is not there any more."""
    try:
        return default_storage.size(_name("queries", sha256))
    except FileNotFoundError:
        return None


def open_thumbnail(key: str, side: int) -> BinaryIO:
    return _open(thumbnail_name(key, side))


def open_query_thumbnail(sha256: str) -> BinaryIO:
    return _open(_name("queries", sha256, ".webp"))


def read_features(key: str) -> bytes:
    """Return an image's local features; raises FileNotFoundError."""
    with _open(_name("features", key, ".features")) as file:
        return file.read()


def delete_original(sha256: str) -> None:
    """Remove an original. Nobody else may use it: the caller has looked."""
    default_storage.delete(_name("originals", sha256))


def delete_thumbnails(key: str) -> None:
    """Remove thumbnails. Nobody else may use them: the caller has looked."""
    for side in THUMBNAIL_SIDES:
        default_storage.delete(thumbnail_name(key, side))


def delete_features(key: str) -> None:
    """Remove local features. Nobody else may use them: the caller has looked."""
    default_storage.delete(_name("features", key, ".features"))


def prefixes(kind: str) -> list[str]:
    """Return the first two digits of the hashes of which there are files of a kind, ascending."""
    try:
        folders, _ = default_storage.listdir(kind)
    except FileNotFoundError:
        return []
    return sorted(folders)


def stored(kind: str, prefix: str) -> Iterator[str]:
    """Yield the full names of the files of a kind (originals, thumbnails, features, queries,
    imports) whose hashes begin with `prefix`, two hexadecimal digits; drafts that were never
    finished too."""
    try:
        folders, _ = default_storage.listdir(f"{kind}/{prefix}")
    except FileNotFoundError:
        return
    for folder in sorted(folders):
        try:
            _, files = default_storage.listdir(f"{kind}/{prefix}/{folder}")
        except FileNotFoundError:  # the last file went a moment ago, and its folder with it
            continue
        yield from (f"{kind}/{prefix}/{folder}/{file}" for file in sorted(files))


def age_of(name: str) -> float | None:
    """Return the seconds since a stored file was written; None where it is not there any more."""
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
    """Remove a file that `stored` named. Nobody uses it: the caller has looked."""
    default_storage.delete(name)


def delete_import(key: str) -> None:
    default_storage.delete(_name("imports", key))


def delete_query_files(sha256: str) -> None:
    default_storage.delete(_name("queries", sha256))
    default_storage.delete(_name("queries", sha256, ".webp"))
