"""The files of resumable uploads, in the upload folder: appended to, never rewritten.

The size of the file is the only record of an upload's progress. After a process is killed, the
record therefore still agrees with the file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from django.conf import settings

from searchapp.infra.upload_handler import CHUNK

_PREFIX = "partial-"
_LOCK_PAUSE = 0.05  # seconds


class OffsetMoved(Exception):
    """The file has another length than the writer expects: another sender has written to it."""


class Vanished(Exception):
    """The file was removed while it was being written."""


class FileBusy(Exception):
    """Another process or thread held the lock on the file for too long."""


def path_of(key: UUID) -> Path:
    return Path(settings.UPLOAD_DIR) / f"{_PREFIX}{key.hex}"


def size_of(key: UUID) -> int:
    """Return the number of bytes received; 0 if there is no file."""
    try:
        return path_of(key).stat().st_size
    except FileNotFoundError:
        return 0


def last_written(key: UUID) -> float | None:
    """Return when the file was last written, in seconds since the epoch; None if there is none."""
    try:
        return path_of(key).stat().st_mtime
    except FileNotFoundError:
        return None


def remove(key: UUID) -> None:
    path_of(key).unlink(missing_ok=True)


def all_keys() -> Iterator[UUID]:
    """Yield the keys of all uploads that have a file."""
    folder = Path(settings.UPLOAD_DIR)
    if folder.is_dir():
        for path in folder.glob(f"{_PREFIX}*"):
            yield UUID(hex=path.name.removeprefix(_PREFIX))


def append(key: UUID, offset: int, read: Callable[[int], bytes], most: int) -> str | None:
    """Append at most `most` bytes from `read` after the first `offset` bytes.

    Returns the SHA-256 of the whole file if this call wrote all of it, else None.

    The lock is held for one write at a time, and not while waiting for data: a dead connection
    does not block the one that replaces it. If two senders write at the same offset, the first
    succeeds and the other gets `OffsetMoved`.

    Raises `OffsetMoved` when the length of the file is not `offset`, at the beginning or between
    two writes. Raises `Vanished` when the file was removed. Raises `OSError` when the disk or
    `read` fails; the bytes already written are kept.
    """
    digest = hashlib.sha256() if offset == 0 else None
    path = path_of(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end = offset + most
        _check(descriptor, offset)
        while offset < end:
            data = read(min(CHUNK, end - offset))
            if not data:
                break
            with _locked(descriptor):
                _check(descriptor, offset)
                _write(descriptor, data, offset)
            offset += len(data)
            if digest is not None:
                digest.update(data)
        # Acknowledged bytes must survive a power failure.
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return None if digest is None else digest.hexdigest()


@contextmanager
def held(key: UUID, patience: float) -> Iterator[Path]:
    """Lock the file exclusively and yield its path.

    Raises `FileBusy` when the lock is not available within `patience` seconds, and `Vanished` when
    the file was removed before it was locked.
    """
    try:
        descriptor = os.open(path_of(key), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Vanished from None
    try:
        with _locked(descriptor, patience):
            if os.fstat(descriptor).st_nlink == 0:
                raise Vanished
            yield path_of(key)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(descriptor: int, patience: float | None = None) -> Iterator[None]:
    """Hold an advisory lock, which the kernel releases when the process ends."""
    if patience is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    else:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise FileBusy from None
                time.sleep(_LOCK_PAUSE)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _check(descriptor: int, offset: int) -> None:
    state = os.fstat(descriptor)
    if state.st_nlink == 0:
        raise Vanished
    if state.st_size != offset:
        raise OffsetMoved


def _write(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
