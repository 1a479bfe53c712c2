"""TAR archives, plain or compressed.

A compressed archive is decompressed once, within limits, into a plain one in the upload folder, so
that reading can start anywhere, also after a crash.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import secrets
import tarfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.conf import settings

from searchapp.services.imports.sources.archive_members import (
    MAX_RATIO,
    ArchiveMember,
    Guarded,
    broken,
    is_bomb,
)
from searchapp.services.imports.sources.files import copy_path

_PART = 1 << 20
_ALIVE_SECONDS = 10.0
_one_unpacks = threading.Lock()
# A member's name, or the PAX headers in front of it.
_MAX_HEADER_BYTES = 1_000_000  # bytes
_HEADERS = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip
_ERRORS = (tarfile.TarError, EOFError, ValueError, OverflowError, IndexError, RecursionError)
_UNPACK_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)


class _Info(tarfile.TarInfo):
    """A member whose headers, which tarfile reads into memory, have a limited size."""

    def _proc_member(self, tarfile_: tarfile.TarFile) -> Any:
        if self.type in _HEADERS and self.size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError("a header of it is very long")
        return super()._proc_member(tarfile_)  # type: ignore[misc]


def plain(path: Path, location: str, alive: Callable[[], None]) -> Path:
    """Return the path of the uncompressed archive: `path` itself, or the unpacked copy.

    Raises `SourceError` when it cannot be unpacked, or is truncated.
    """
    with path.open("rb") as file:
        head = file.read(6)
    opener = _opener(head)
    if opener is None:
        return path
    about = path.stat()
    key = hashlib.sha256(f"{location}:{about.st_mtime_ns}:{about.st_size}".encode()).hexdigest()
    target = copy_path(key, ".tar")
    with _one_unpacks:
        if target.exists():
            os.utime(target)  # marks it as used: see `import_cleanup.tidy`
        else:
            _unpack(path, opener, target, alive)
    return target


def _opener(head: bytes) -> Callable[[Path], Any] | None:
    if head.startswith(b"\x1f\x8b"):
        return lambda path: gzip.open(path, "rb")
    if head.startswith(b"BZh"):
        return lambda path: bz2.open(path, "rb")
    if head.startswith(b"\xfd7zXZ\x00"):
        return lambda path: lzma.open(path, "rb")
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return _open_zstandard
    return None


def _open_zstandard(path: Path) -> Any:
    import zstandard

    # 128 MB is the limit of the `zstd` command by default.
    return zstandard.open(path, "rb", dctx=zstandard.ZstdDecompressor(max_window_size=2**27))


def _unpack(
    path: Path, opener: Callable[[Path], Any], target: Path, alive: Callable[[], None]
) -> None:
    packed = path.stat().st_size
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"upload-{secrets.token_hex(8)}")
    last, size = time.monotonic(), 0
    try:
        with draft.open("xb") as output, opener(path) as source:
            while part := _read_part(source):
                size += len(part)
                # TAR blocks may add half a kilobyte to each member, and zeros at the end.
                if size > settings.MAX_UNPACKED_BYTES + 1024 * settings.MAX_MEMBERS:
                    limit = settings.MAX_UNPACKED_BYTES / 1e9
                    raise broken(f"Unpacked, this archive has more than {limit:g} GB.")
                if is_bomb(packed, size):
                    raise broken(
                        f"This archive grows to more than {MAX_RATIO} times its packed size."
                    )
                output.write(part)
                if time.monotonic() - last > _ALIVE_SECONDS:
                    last = time.monotonic()
                    alive()
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def _read_part(source: Any) -> bytes:
    try:
        return cast(bytes, source.read(_PART))
    except _UNPACK_ERRORS as error:
        raise broken(f"This archive cannot be unpacked: {error}.") from None
    except Exception as error:  # zstandard's own error has no public base class
        raise broken(f"This archive cannot be unpacked: {error}.") from None


def members(path: Path, at: int) -> Iterator[ArchiveMember]:
    """Yield the members from byte `at` on. Raises `SourceError` when the file is no archive, or
    ends within a member."""
    with path.open("rb") as file:
        file.seek(at)
        end = path.stat().st_size
        try:
            archive = tarfile.TarFile(fileobj=file, tarinfo=_Info, errorlevel=1)
            while (entry := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined] # else all are remembered
                if entry.offset_data + (entry.size if entry.isreg() else 0) > end:
                    raise broken("The end of this archive is missing.")
                yield ArchiveMember(
                    entry.name,
                    entry.size if entry.isreg() else 0,
                    archive.offset,
                    {"offset": entry.offset_data, "size": entry.size},
                    _refusal(entry),
                    entry.isdir(),
                )
            # tarfile takes a damaged header for the end.
            file.seek(archive.offset)
            if any(file.read(tarfile.BLOCKSIZE)):
                raise broken("This archive is damaged; what comes behind is lost.")
        except _ERRORS as error:
            raise broken(f"This TAR archive cannot be read: {error}.") from None


def _refusal(entry: tarfile.TarInfo) -> tuple[str, str] | None:
    if entry.issym() or entry.islnk():
        return "link_refused", "This member is a link; links of archives are not followed."
    if not entry.isreg() or entry.issparse():
        return "not_a_file", "This member is no plain file."
    return None


class _Slice:
    """A part of a file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, number: int) -> bytes:
        data = self._file.read(min(number, self._left))
        self._left -= len(data)
        if not data and self._left:
            raise EOFError("its end is missing")
        return data

    def close(self) -> None:
        self._file.close()


def open_member(path: Path, offset: int, size: int) -> AbstractContextManager[BinaryIO]:
    """Open the member at byte `offset`, of `size` bytes, for reading."""
    file = path.open("rb")
    file.seek(offset)
    return cast(BinaryIO, Guarded(cast(BinaryIO, _Slice(file, size)), size, (EOFError,)))
