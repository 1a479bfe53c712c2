"""ZIP archives as sources: files read in memory, within limits, never extracted to disk.

Listing and reading are two steps: `Archive.entries`, and `Archive.read`, which turns an entry into
a `ZipMember`. As a step of a collection `read` runs in its threads and processes, and a member that
cannot be read fails as one row.
"""

import fnmatch
import os
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from embeddings.errors import InputError
from embeddings.flow.sources.paths import existing_file

DEFAULT_MAX_BYTES = 256 * 1024 * 1024
DEFAULT_MAX_RATIO = 200.0

# Smaller members may have any compression ratio: that of a plain white bitmap is high and harmless.
_SMALL = 16 * 1024 * 1024
# These two decompress in steps of bounded size; other methods may turn kilobytes into gigabytes in
# one step.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_STEP = 1024 * 1024


class ZipMember(bytes):
    """A file of an archive: its bytes, with its `name` in the archive.

    The name is unchanged, with folders; it may be absolute or contain "..", so never write to it as
    a path.
    """

    name: str

    def __new__(cls, data: bytes, name: str) -> "ZipMember":
        member = super().__new__(cls, data)
        member.name = name
        return member

    def __reduce__(self) -> tuple[Any, ...]:
        return ZipMember, (bytes(self), self.name)

    def __repr__(self) -> str:
        return f"<ZipMember {self.name!r}, {len(self)} bytes>"


@dataclass(frozen=True)
class Entry:
    """An unread file of an archive: its `name`, and its `place` in the list."""

    name: str
    place: int


class Archive:
    """A ZIP archive to read members from.

    Thread-safe; picklable, and reopened after unpickling. The file is opened on first use, and
    closed when the object is deleted.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        pattern: str = "*",
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        max_ratio: float = DEFAULT_MAX_RATIO,
    ) -> None:
        """`pattern` is matched against whole names, folders included, case-sensitively; its `*`
        matches any characters, including "/".

        A member may have `max_bytes` unpacked and, above 16 MiB, at most `max_ratio` times its
        packed size. Raises `InputError` when there is no such file.
        """
        self.path = existing_file(path)
        self.pattern = pattern
        self.max_bytes = max_bytes
        self.max_ratio = max_ratio
        self._opening = threading.Lock()
        self._opened: zipfile.ZipFile | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.path, self.pattern, self.max_bytes, self.max_ratio)

    def __repr__(self) -> str:
        return f"<Archive {self.path}>"

    def entries(self) -> Iterator[Entry]:
        """The files in the order of the archive, without folders.

        Raises `InputError` when the file is not a ZIP archive.
        """
        for place, info in enumerate(self._zip().infolist()):
            if not info.is_dir() and fnmatch.fnmatchcase(info.filename, self.pattern):
                yield Entry(info.filename, place)

    def read(self, entry: Entry) -> ZipMember:
        """The bytes of a member.

        Raises `InputError`, naming archive and member, when it is encrypted, damaged, too large,
        suspiciously well compressed, or uses another method than stored or deflated.
        """
        archive = self._zip()
        members = archive.infolist()
        if entry.place >= len(members) or members[entry.place].filename != entry.name:
            raise self._refused(entry, "is no longer there: the archive has changed")
        info = members[entry.place]
        if info.flag_bits & 0x1:
            raise self._refused(entry, "is encrypted; pack it without a password")
        if info.compress_type not in _METHODS:
            raise self._refused(
                entry, f"is packed by method {info.compress_type}; pack it stored or deflated"
            )
        if info.file_size > self.max_bytes:
            raise self._refused(
                entry, f"has {info.file_size:,} bytes, and {self.max_bytes:,} are the limit"
            )
        if info.file_size > max(_SMALL, self.max_ratio * info.compress_size):
            raise self._refused(
                entry,
                f"unpacks to more than {self.max_ratio:g} times its packed size, which looks "
                "like an archive made to exhaust memory",
            )
        try:
            with archive.open(info) as file:
                # Reads no more than the size that was checked above.
                data = b"".join(iter(lambda: file.read(_STEP), b""))
        except Exception as error:  # broken archives raise anything at all
            raise self._refused(entry, f"cannot be read: {error}") from error
        return ZipMember(data, entry.name)

    def _refused(self, entry: Entry, reason: str) -> InputError:
        return InputError(f"The member {entry.name!r} of {self.path} {reason}.")

    def _zip(self) -> zipfile.ZipFile:
        with self._opening:
            if self._opened is None:
                try:
                    self._opened = zipfile.ZipFile(self.path)
                except Exception as error:  # broken archives raise anything at all
                    raise InputError(
                        f"{self.path} is no ZIP archive that can be read: {error}."
                    ) from error
            return self._opened


def _again(path: str, pattern: str, max_bytes: int, max_ratio: float) -> Archive:
    return Archive(path, pattern, max_bytes=max_bytes, max_ratio=max_ratio)


def zip_members(
    path: str | os.PathLike[str],
    pattern: str = "*",
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    max_ratio: float = DEFAULT_MAX_RATIO,
) -> Iterator[ZipMember]:
    """The files of a ZIP archive as `ZipMember`s, in the order of the archive.

    The arguments are those of `Archive`. Raises what `Archive` raises, at the call and when the
    first member is read, and what `Archive.read` raises at the place of a member; the iterator can
    then continue with the next one. For members that fail as single rows use `Archive`: its
    `entries` are the rows, and `read` is the first step.
    """
    archive = Archive(path, pattern, max_bytes=max_bytes, max_ratio=max_ratio)
    return map(archive.read, archive.entries())
