"""What archives of all formats have in common: members and their limits."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from searchapp.services.imports.sources.base import SourceError

# A compressed file that grows by more than this factor is a decompression bomb: pictures are
# compressed already. Small ones are exempt.
MAX_RATIO = 200
SMALL = 10_000_000  # bytes


@dataclass(frozen=True)
class ArchiveMember:
    name: str
    size: int  # bytes, unpacked; reading never yields more
    next: int  # where a listing continues behind this member
    locator: dict[str, Any] = field(default_factory=dict)
    refusal: tuple[str, str] | None = None
    is_folder: bool = False


def is_bomb(packed: int, unpacked: int) -> bool:
    return unpacked > SMALL and unpacked > MAX_RATIO * max(1, packed)


def broken(sentence: str) -> SourceError:
    return SourceError("archive_broken", sentence)


class Guarded(io.RawIOBase):
    """Reads a member's content, counts its bytes, and turns the errors of its format into one
    class."""

    def __init__(
        self, file: BinaryIO, packed: int, errors: tuple[type[Exception], ...],
        close: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._file, self._packed, self._errors, self._close = file, packed, errors, close
        self._unpacked = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read(len(buffer))
        except self._errors as error:
            raise SourceError(
                "member_broken", f"This member of the archive is damaged: {error}."
            ) from None
        self._unpacked += len(data)
        if is_bomb(self._packed, self._unpacked):
            raise SourceError(
                "bomb", f"This member grows to more than {MAX_RATIO} times its packed size."
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            self._close()
        super().close()
