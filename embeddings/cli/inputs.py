"""Input pictures of a command: files, folders, and lists of paths on stdin."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from embeddings.errors import InputError

# Selects the files of a folder only; the type of a picture is found from its content.
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
    """A folder that cannot be listed; takes the place of its pictures."""

    path: str
    error: OSError


def found(arguments: Sequence[str], every_file: bool) -> list[str | Unreadable]:
    """The paths that the arguments name, each once: files, and all files below folders.

    "-" stands for the paths on stdin, one per line. From a folder come the files with the suffix of
    a picture (with `every_file`: all), sorted; hidden files and linked folders are left out. Raises
    `InputError` when an argument does not exist, or when there is no picture at all.
    """
    paths: dict[str, str | Unreadable] = {}
    for argument in arguments:
        listed = _listed() if argument == "-" else [argument]
        # A file in a list may be gone by now: that is reported as the error of its row.
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
            accepted = every_file or Path(name).suffix.lower() in SUFFIXES
            if accepted and not name.startswith("."):
                yield os.path.normpath(os.path.join(at, name))
    for error in unreadable:
        yield Unreadable(os.fsdecode(error.filename), error)
