"""ZIP archives: listing and reading of members, with a check of the central directory."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.conf import settings

from searchapp.services.imports.sources.archive_members import ArchiveMember, Guarded, broken
from searchapp.services.imports.sources.base import SourceError

_ENTRY = struct.Struct("<4s24x3H12x")  # of the central directory; 46 bytes
_PART = 1 << 20
# Raised by zipfile and its decompressors for damaged archives.
_ERRORS = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError,
    struct.error,
)  # fmt: skip


def is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")


def members(path: Path, at: int) -> Iterator[ArchiveMember]:
    """Yield the members from number `at` on. Raises `SourceError`."""
    archive = _opened(path)
    seen: set[int] = {entry.header_offset for entry in archive.filelist[:at]}
    for number, entry in enumerate(archive.filelist[at:], at):
        refusal = _refusal(entry)
        if entry.header_offset in seen and refusal is None:
            refusal = ("member_broken", "This member's bytes are those of another one.")
        seen.add(entry.header_offset)
        yield ArchiveMember(
            entry.filename,
            entry.file_size,
            number + 1,
            {"entry": number},
            refusal,
            entry.is_dir(),
        )


def _refusal(entry: zipfile.ZipInfo) -> tuple[str, str] | None:
    mode = entry.external_attr >> 16
    if stat.S_ISLNK(mode):
        return "link_refused", "This member is a link; links of archives are not followed."
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "not_a_file", "This member is no plain file."
    if entry.flag_bits & 0x1:
        return "encrypted", "This member is encrypted; send the archive without a password."
    return None


def open_member(path: Path, number: int) -> AbstractContextManager[BinaryIO]:
    """Open member `number` for reading. Raises `SourceError`."""
    archive = _opened(path)
    try:
        entry = archive.filelist[number]
        file = archive.open(entry)
    except IndexError:
        raise broken("The archive is another one than when it was listed.") from None
    except _ERRORS as error:
        raise SourceError("member_broken", f"This member cannot be read: {error}.") from None
    return cast(BinaryIO, Guarded(cast(BinaryIO, file), entry.compress_size, _ERRORS))


def _opened(path: Path) -> zipfile.ZipFile:
    """Return the archive; its directory, which may be long, is cached between steps."""
    about = path.stat()
    return _remembered(path, about.st_mtime_ns, about.st_size)


class _Reopened(io.RawIOBase):
    """A file that is open only while it is read: the cached directory of a deleted archive must not
    keep the archive's bytes on the disk."""

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size, self._at = path, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        with self._path.open("rb", buffering=0) as file:
            number = os.preadv(file.fileno(), [buffer], self._at)
        self._at += number
        return number


@lru_cache(maxsize=2)
def _remembered(path: Path, changed: int, size: int) -> zipfile.ZipFile:
    try:
        _check_directory(path)
        return zipfile.ZipFile(cast(BinaryIO, _Reopened(path, size)))
    except _ERRORS as error:
        raise broken(f"This ZIP archive cannot be read: {error}.") from None


def _check_directory(path: Path) -> None:
    """Count the entries of the directory before they are all read into memory."""
    with path.open("rb") as file:
        end_record: list[Any] | None = zipfile._EndRecData(file)  # type: ignore[attr-defined]
        if end_record is None:
            raise zipfile.BadZipFile("its end is missing")
        size, location = int(end_record[5]), int(end_record[9])
        if end_record[0] == b"PK\x06\x06":  # the ZIP64 form has 76 more bytes in between
            location -= 76
        file.seek(max(0, location - size))
        left, number, rest = size, 0, b""
        while left > 0:
            part = file.read(min(_PART, left))
            if not part:
                break
            left -= len(part)
            rest += part
            at = 0
            while len(rest) - at >= _ENTRY.size:
                mark, name, extra, comment = _ENTRY.unpack_from(rest, at)
                if mark != b"PK\x01\x02":
                    return  # zipfile reports the error
                length = 46 + name + extra + comment
                if len(rest) - at < length:
                    break
                at += length
                number += 1
            rest = rest[at:]
            # Folders are skipped later, but all entries take memory.
            if number > 2 * settings.MAX_MEMBERS + 1000:
                raise broken(
                    f"This archive has many more than {settings.MAX_MEMBERS:,} files; send it in "
                    "parts."
                )
