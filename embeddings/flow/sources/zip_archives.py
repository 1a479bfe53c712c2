"""Files out of ZIP archives, in memory and within limits; nothing is extracted to disk.

Finding the members and reading them are two steps: `Archive.entries` and `Archive.read`, which
makes a `ZipMember` of an entry. So a member that cannot be read fails alone: `read` as a step
of a collection runs in its threads and processes, and its failure is that of one row.
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

# Members up to this size may be of any ratio: a plain white bitmap is, and does no harm.
_SMALL = 16 * 1024 * 1024
# These two decompress in steps of bounded size; the others of the format may turn some
# kilobytes into gigabytes in one.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_STEP = 1024 * 1024


class ZipMember(bytes):
    """A file out of an archive: its bytes, which know their `name` in the archive.

    The name is kept as the archive has it, with folders; it may be absolute or hold "..", so
    never write to it as a path.
    """

    name: str

    def __new__(cls, data: bytes, name: str) -> "ZipMember":
        made = super().__new__(cls, data)
        made.name = name
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return ZipMember, (bytes(self), self.name)

    def __repr__(self) -> str:
        return f"<Member {self.name!r}, {len(self)} bytes>"


@dataclass(frozen=True)
class Entry:
    """A file in an archive that has not been read: its `name`, and its `place` in the list."""

    name: str
    place: int


class Archive:
    """A ZIP archive to read members from.

    Thread-safe; picklable, and opened anew where it arrives. The file is opened when it is
    first needed, and closed when the object goes.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        pattern: str = "*",
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        max_ratio: float = DEFAULT_MAX_RATIO,
    ) -> None:
        """`pattern` is matched with whole names, folders included, capital letters told apart;
        its `*` matches any characters, "/" among them.

        A member may have `max_bytes` unpacked, and where it has more than 16 MiB, `max_ratio`
        times as many as packed. Raises `InputError` for a path that is no file.
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
        """The files in the archive's own order; folders are left out.

        Raises `InputError` for a file that is no ZIP archive.
        """
        for place, info in enumerate(self._zip().infolist()):
            if not info.is_dir() and fnmatch.fnmatchcase(info.filename, self.pattern):
                yield Entry(info.filename, place)

    def read(self, entry: Entry) -> ZipMember:
        """The bytes of a member.

        Raises `InputError`, naming archive and member, for one that is encrypted, damaged, too
        large, suspiciously well packed, or packed otherwise than stored or deflated.
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
                # Never more than the size that was checked above: what follows is not unpacked.
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
    """The files of a ZIP archive as bytes that know their names, in the archive's own order.

    The arguments are those of `Archive`. Raises what `Archive` raises, now and when the first
    member is asked for, and what `Archive.read` raises at the place of a member; the iterator
    can then be asked for the next one. For rows that fail alone take `Archive` itself: its
    `entries` are the rows, and `read` is the first step.
    """
    archive = Archive(path, pattern, max_bytes=max_bytes, max_ratio=max_ratio)
    return map(archive.read, archive.entries())
