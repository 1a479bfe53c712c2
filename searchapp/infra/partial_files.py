"""The bytes of resumable uploads, in the upload folder: appended, never rewritten.

How far an upload has come is the size of its file, and nothing else knows better: a killed process
leaves no promise behind that the file does not keep.
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
    """The file is not as long as the writer believes: somebody else writes it, or wrote it."""


class Vanished(Exception):
    """The file was removed while it was being written."""


class FileBusy(Exception):
    """Somebody else held the file for too long."""


def path_of(key: UUID) -> Path:
    return Path(settings.UPLOAD_DIR) / f"{_PREFIX}{key.hex}"


def size_of(key: UUID) -> int:
    """Return how many bytes have arrived; 0 where there is no file."""
    try:
        return path_of(key).stat().st_size
    except FileNotFoundError:
        return 0


def last_written(key: UUID) -> float | None:
    """Return when the last byte arrived, in seconds of the epoch; None where there is no file."""
    try:
        return path_of(key).stat().st_mtime
    except FileNotFoundError:
        return None


def remove(key: UUID) -> None:
    path_of(key).unlink(missing_ok=True)


def all_keys() -> Iterator[UUID]:
    """The uploads that have a file."""
    folder = Path(settings.UPLOAD_DIR)
    if folder.is_dir():
        for path in folder.glob(f"{_PREFIX}*"):
            yield UUID(hex=path.name.removeprefix(_PREFIX))


def append(key: UUID, offset: int, read: Callable[[int], bytes], most: int) -> str | None:
    """Write what `read` yields behind the first `offset` bytes, `most` bytes at most.

    The lock is held for one write at a time and not while a slow sender is waited for: a
    connection that died without a word cannot keep its successor out. Of two senders, the one that
    writes an offset first has it, and the other is told.

    Returns:
        The SHA-256 of the whole file when all of it was written here; else None.

    Raises:
        Moved: the file has another length than `offset`, at the beginning or between two writes.
        Vanished: the file was removed.
        OSError: of the disk, or of `read`; what was written before is kept.
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
        # All that is acknowledged at the end of a request outlives a loss of power.
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return None if digest is None else digest.hexdigest()


@contextmanager
def held(key: UUID, patience: float) -> Iterator[Path]:
    """Hold the file for oneself.

    Raises:
        Busy: after `patience` seconds.
        Vanished: when it was removed before we had it.
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
    """An advisory lock, which the kernel frees when its holder dies."""
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
