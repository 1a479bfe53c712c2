"""Where the bytes of a picture come from: memory, a path or a binary file object."""

import io
import os
import re
from pathlib import Path
from typing import Any, BinaryIO

from embeddings.errors import InputError

Source = bytes | str | os.PathLike[str] | BinaryIO


def is_source(source: Any) -> bool:
    """Return whether `read` takes it: bytes, a path, or what has a `read` method."""
    if isinstance(source, bytes | bytearray | memoryview | str | os.PathLike):
        return True
    return callable(getattr(source, "read", None)) and not isinstance(source, type)


def read(source: Source) -> bytes:
    """Return the bytes of a source. Raises `InputError` for other types, OSError if unreadable."""
    if not is_source(source):
        raise InputError(
            f"A picture must be a path, bytes or a binary file object; not {type(source).__name__}."
        )
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        return _read_path(source)
    return _read_file(source)


def _read_path(path: str | os.PathLike[str]) -> bytes:
    if path == "":
        raise InputError("The path of this picture is empty; give the path of a file.")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        if not re.match("https?:/", os.fspath(path), re.IGNORECASE):
            raise
        raise InputError(
            f"There is no file {os.fspath(path)!r}; for a picture from the network use "
            "image_decode.url, with your own function that fetches it."
        ) from error
    except (TypeError, ValueError) as error:  # a NUL byte, half a surrogate, a path of bytes
        raise InputError(f"{path!r} can be no path of a file: {error}.") from error


def _read_file(file: Any) -> bytes:
    if isinstance(file, io.TextIOBase):
        raise InputError('This file is open as text; open it as a binary file, with "rb".')
    try:
        data = file.read()
    except ValueError as error:  # closed, or open for writing only
        raise InputError(
            f'This file object cannot be read ({error}); open it with "rb", and close it later.'
        ) from error
    if data is None:
        raise InputError(
            "This file object has nothing to read yet (it does not block, and read() gave None); "
            "wait for the whole file, and give its bytes."
        )
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InputError(
            f'A file object must give bytes, not {type(data).__name__}; open it with "rb".'
        )
    return bytes(data)
