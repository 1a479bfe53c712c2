"""Room on the disks: some is always left, for the database, the vectors and what is under way."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from django.conf import settings
from django.core.exceptions import BadRequest


class StorageFull(OSError, BadRequest):
    """The disk is full, or as full as `LOOKALIKE_MIN_FREE_BYTES` lets it be.

    An `OSError` as the system raises it, which the API answers with 507, pages with a sentence.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(errno.ENOSPC, "No space left that may be used", str(folder))


def require_room(folder: Path, size: int = 0) -> None:
    """Raise `StorageFull` unless `size` more bytes fit below `folder`, which may not exist yet."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if shutil.disk_usage(there).free - size < settings.MIN_FREE_BYTES:
        raise StorageFull(folder)
