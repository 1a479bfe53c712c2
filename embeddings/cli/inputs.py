"""Which pictures a command means: files, folders, and lists of paths."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from embeddings.errors import InputError

# Only which files of a folder are tried; what is in a file decides what it is.
SUFFIXES = frozenset(
    (
        ".avif",
        ".bmp",
        ".gif",
        ".heic",
        ".heif",
        ".jfif",
        ".jpeg",
        ".jpg",
        ".png",
        ".tif",
        ".tiff",
        ".webp",
    )
)


@dataclass(frozen=True)
class Unreadable:
    """A folder that cannot be listed, in the place of its pictures."""

    path: str
    error: OSError


def found(arguments: Sequence[str], every_file: bool) -> list[str | Unreadable]:
    """The paths that arguments name, each once: files as they are, folders with all below them.

    "-" stands for the paths on stdin, one a line. Of a folder come the files whose names end
    like pictures' (`every_file`: all), sorted; hidden ones and linked folders are left out.
    Raises `InputError` for an argument that is not there, and where there is no picture at all.
    """
    paths: dict[str, str | Unreadable] = {}
    for argument in arguments:
        listed = _listed() if argument == "-" else [argument]
        # What a list names may have gone meanwhile: it is told in its place.
        if argument != "-" and not os.path.lexists(argument):
            raise InputError(f"There is no file or folder {argument!r}.")
        for one in listed:
            entries = _below(one, every_file) if os.path.isdir(one) else [os.path.normpath(one)]
            for entry in entries:
                paths.setdefault(entry if isinstance(entry, str) else entry.path, entry)
    if not paths:
        where = ", ".join("what stdin lists" if one == "-" else one for one in arguments)
        raise InputError(f"There is no picture in {where}.")
    return list(paths.values())


def _listed() -> list[str]:
    """The paths on stdin."""
    if sys.stdin is None:
        raise InputError("Paths are to be read from stdin, and it is closed.")
    return [path for path in (line.rstrip("\r\n") for line in sys.stdin) if path]


def _below(folder: str, every_file: bool) -> Iterator[str | Unreadable]:
    unreadable: list[OSError] = []
    for at, folders, files in os.walk(folder, onerror=unreadable.append):
        while unreadable:
            error = unreadable.pop()
            yield Unreadable(os.fsdecode(error.filename), error)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            wanted = every_file or Path(name).suffix.lower() in SUFFIXES
            if wanted and not name.startswith("."):
                yield os.path.normpath(os.path.join(at, name))
    for error in unreadable:
        yield Unreadable(os.fsdecode(error.filename), error)
