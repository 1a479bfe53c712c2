"""Detect by content whether an uploaded file is a picture or a source of pictures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from searchapp.models import SourceKind

HEAD = 64 * 1024  # bytes that are read
# Columns that can name a file, in order of precedence.
FILE_COLUMNS = ("path", "file", "file_name", "filename", "image", "image_path")
URL_COLUMNS = ("url", "image_url", "address", "uri")
COLUMNS = ", ".join((*FILE_COLUMNS[:3], URL_COLUMNS[0]))  # as sentences name them
_ARCHIVES = (
    b"PK\x03\x04",  # ZIP
    b"PK\x05\x06",  # ZIP without members
    b"\x1f\x8b",  # gzip
    b"BZh",
    b"\xfd7zXZ\x00",
    b"\x28\xb5\x2f\xfd",  # Zstandard
)
_COCO = ('"images"', '"annotations"', '"categories"')


def kind_of(path: Path) -> SourceKind | None:
    """Return the kind of source that the file is; None for anything else, such as a picture."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    return kind_of_head(head)


def kind_of_head(head: bytes) -> SourceKind | None:
    if is_archive(head):
        return SourceKind.ARCHIVE
    if head.startswith(b"PAR1"):
        return SourceKind.MANIFEST
    text = _text(head)
    if text is None:
        return None
    if text.startswith("{"):
        return _of_json(text)
    return SourceKind.MANIFEST if _is_table(text) else None


def is_archive(head: bytes) -> bool:
    return head.startswith(_ARCHIVES) or head[257:262] == b"ustar"


def names_a_file(column: str) -> bool:
    return column.strip().lower() in (*FILE_COLUMNS, *URL_COLUMNS)


def delimiter_of(line: str) -> str:
    """Return the delimiter of a table's first line: a comma, semicolon or tab."""
    return max(",;\t", key=line.count)


def _text(head: bytes) -> str | None:
    # The head may end inside a character.
    for cut in range(4 if len(head) == HEAD else 1):
        try:
            text = head[: len(head) - cut].decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
        return None if "\0" in text else text.lstrip()
    return None


def _of_json(text: str) -> SourceKind | None:
    first = text.partition("\n")[0]
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        row = None
    if isinstance(row, dict) and any(names_a_file(str(name)) for name in row):
        return SourceKind.MANIFEST
    return SourceKind.COCO if any(word in text for word in _COCO) else None


def _is_table(text: str) -> bool:
    first = text.partition("\n")[0].strip("\r")
    try:
        columns = next(csv.reader([first], delimiter=delimiter_of(first)), [])
    except csv.Error:
        return False
    return any(names_a_file(column) for column in columns)
