"""Rows for the pictures on the command line, with vectors and per-file errors."""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Any

from embeddings.cli.inputs import Unreadable
from embeddings.cli.output import line, problem
from embeddings.errors import InputError
from embeddings.flow.collection.data_collection import DataCollection

# Files are read whole into memory; larger ones are refused.
_MAX_FILE_BYTES = 512 * 2**20


class Rows:
    """A dict for each usable picture, in order: id, sha256, bytes, vector.

    `embed` is an `ImagePipeline`, or a graph from a picture to a vector. With `text` there is also
    a text_vector, from the same forward pass. An unusable picture is printed as a JSON line with
    its error. Can be iterated once; `count` and `failed` are the numbers so far. Memory use is
    constant.
    """

    def __init__(
        self, pictures: Sequence[str | Unreadable], embed: Any, *, text: bool = False
    ) -> None:
        self.pictures = pictures
        self.embed = embed
        self.count = 0
        self.failed = 0
        read = DataCollection(pictures).safe().set_parallel().map(_read)
        if text:
            embedded = read.map(embed.with_text(), "data", ("vector", "text_vector"))
        else:
            embedded = read.map(embed, "data", "vector")
        self._rows = embedded.map(_without_data)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self._rows:
            if isinstance(row, dict):
                self.count += 1
                yield row
            else:
                self.failed += 1
                line(id=_name(row.input), error=problem(row.exception))


def _read(picture: str | Unreadable) -> dict[str, Any]:
    if isinstance(picture, Unreadable):
        raise picture.error
    try:
        picture.encode()
    except UnicodeEncodeError:
        raise InputError("The file's name is not UTF-8, so it can be no id: rename it.") from None
    if "\0" in picture:
        raise InputError("A path cannot hold NUL; list paths one a line.")
    # Non-blocking: opening a pipe would wait for a writer.
    handle = os.open(picture, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise InputError("This is no file, but a folder, a pipe or a device.")
        with open(handle, "rb", closefd=False) as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    finally:
        os.close(handle)
    if len(data) > _MAX_FILE_BYTES:
        raise InputError(f"The file is larger than {_MAX_FILE_BYTES // 2**20} MiB.")
    digest = hashlib.sha256(data).hexdigest()
    return {"id": picture, "sha256": digest, "bytes": len(data), "data": data}


def _without_data(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "data"}


def _name(item: Any) -> str:
    """The path of a failed row, printable."""
    if isinstance(item, dict):
        item = item["id"]
    path = item.path if isinstance(item, Unreadable) else str(item)
    return path.encode(errors="backslashreplace").decode()
