"""Guard against JSON files that are built to exhaust memory, checked before the parser sees them.

The streaming parser keeps the path to each value, so 200 kB of brackets would use all memory.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import BinaryIO

from searchapp.services.imports.sources.base import SourceError

_MAX_DEPTH = 100  # lists and objects in each other
_MAX_TEXT_BYTES = 1_000_000  # bytes of one text
_ALIVE_SECONDS = 10.0
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class Watched:
    """Reads a JSON file in pieces; `alive` is called now and then.

    `read` raises `SourceError` with code `table_broken` when the file is nested too deep or one
    string is too long.
    """

    def __init__(self, file: BinaryIO, alive: Callable[[], None]) -> None:
        self._file, self._alive = file, alive
        self._depth = 0
        self._in_text, self._length = False, 0
        self._backslash = b""  # a trailing backslash, whose escaped character is still to come
        self._last = time.monotonic()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._check(data)
        if time.monotonic() - self._last > _ALIVE_SECONDS:
            self._last = time.monotonic()
            self._alive()
        return data

    def _check(self, data: bytes) -> None:
        plain = _ESCAPED.sub(b"", self._backslash + data)
        self._backslash = b"\\" if plain.endswith(b"\\") else b""
        parts = plain.split(b'"')  # strings and what is between them, alternating
        self._length = len(parts[-1]) if len(parts) > 1 else self._length + len(data)
        between = b"".join(parts[1 if self._in_text else 0 :: 2])
        self._in_text ^= len(parts) % 2 == 0
        if self._in_text and self._length > _MAX_TEXT_BYTES:
            raise SourceError("table_broken", "One text of this file is very long.")
        for bracket in between.translate(None, _NOT_BRACKETS):
            self._depth += 1 if bracket in b"[{" else -1
            if self._depth > _MAX_DEPTH:
                raise SourceError(
                    "table_broken", f"This file is nested more than {_MAX_DEPTH} levels deep."
                )
