"""Archives: ZIP and TAR. Nothing is extracted to a path that a member names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO

from django.conf import settings

from searchapp.models import ImportItem
from searchapp.services.imports.image_fields import LABEL_LENGTH
from searchapp.services.imports.sources import tar_archive, zip_archive
from searchapp.services.imports.sources.archive_members import ArchiveMember
from searchapp.services.imports.sources.base import Listed, Source
from searchapp.services.imports.sources.files import check_file, is_hidden, local_file, shown

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class ArchiveSource(Source):
    """The members of one archive, in its own order.

    The limits (members, total bytes) are checked during listing. Reading a member ends with an
    error at the size that was listed.
    """

    @classmethod
    def check(cls, location: str, user: User | None) -> str:
        return check_file(location)

    def list(self, cursor: str) -> Iterator[Listed]:
        reached = json.loads(cursor) if cursor else {"at": 0, "members": 0, "bytes": 0}
        number, size = reached["members"], reached["bytes"]
        for member in self._members(reached["at"]):
            if member.is_folder:
                continue
            number += 1
            size += member.size
            refusal = member.refusal or _refusal_of_name(member.name)
            if refusal is None and size > settings.MAX_UNPACKED_BYTES:
                limit = settings.MAX_UNPACKED_BYTES / 1e9
                refusal = (
                    "archive_too_large",
                    f"The files of this archive have more than {limit:g} GB together; this one "
                    "and those behind it are left out.",
                )
                size -= member.size
            here = json.dumps({"at": member.next, "members": number, "bytes": size})
            if number > settings.MAX_MEMBERS:
                text = f"This archive has more than {settings.MAX_MEMBERS:,} files; the others are "
                refusal = ("too_many_members", f"{text}left out.")
                yield Listed(shown(member.name), refusal=refusal, cursor=here)
                return
            parts = [
                part for part in member.name.replace("\\", "/").split("/") if part not in ("", ".")
            ]
            if any(is_hidden(part) for part in parts) and ".." not in parts:
                continue
            fields = {}
            if self.options.label_from_folder and len(parts) > 1:
                fields["label"] = shown(parts[-2])[:LABEL_LENGTH]
            yield Listed(shown(member.name), member.locator, fields, refusal, here)

    def _members(self, at: int) -> Iterator[ArchiveMember]:
        path = local_file(self.source.location)
        if zip_archive.is_zip(path):
            return zip_archive.members(path, at)
        return tar_archive.members(tar_archive.plain(path, self.source.location, self.alive), at)

    def open(self, item: ImportItem) -> AbstractContextManager[BinaryIO]:
        locator = item.locator or {}
        path = local_file(self.source.location)
        if "entry" in locator:
            return zip_archive.open_member(path, int(locator["entry"]))
        plain = tar_archive.plain(path, self.source.location, self.alive)
        return tar_archive.open_member(plain, int(locator["offset"]), int(locator["size"]))


def _refusal_of_name(name: str) -> tuple[str, str] | None:
    """Refuse a name that leads outside of the archive. Names are never used as paths here, but such
    an archive is malicious."""
    parts = name.replace("\\", "/").split("/")
    absolute = parts[0] == "" or (len(parts[0]) == 2 and parts[0][1] == ":")
    if absolute or ".." in parts or "\0" in name:
        return "path_escapes", "The name of this member leads out of the archive."
    return None
