"""Import from a COCO-style JSON file: each box of its annotations becomes an image.

Pictures are found by their `file_name`: beside the JSON file, in the folder `images` beside it, or
in an archive beside it with the same name; for an uploaded JSON file, inside the import roots.
Missing pictures are fetched from their `coco_url`, if they have one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from searchapp.infra import import_roots
from searchapp.models import ImportItem
from searchapp.services.errors import ServiceError
from searchapp.services.imports import image_fields
from searchapp.services.imports.sources import tar_archive, zip_archive
from searchapp.services.imports.sources.base import Listed, Source, SourceError
from searchapp.services.imports.sources.files import KEPT, check_file, local_file, shown
from searchapp.services.imports.sources.json_guard import Watched
from searchapp.services.imports.sources.manifest import Places

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_MAX_PICTURES = 2_000_000


class CocoSource(Source):
    """The annotations of one file, in its order, each with its category's name as label."""

    threads = 4

    @classmethod
    def check(cls, location: str, user: User | None) -> str:
        return check_file(location)

    def list(self, cursor: str) -> Iterator[Listed]:
        import ijson  # only workers read these files

        path = local_file(self.source.location)
        reached, number = int(cursor or 0), 0
        try:
            labels = {
                _key(one.get("id")): str(one.get("name", ""))
                for one in self._entries(path, "categories")
                if isinstance(one, dict)
            }
            pictures = self._pictures(path)
            members = self._members(path)
            for number, one in enumerate(self._entries(path, "annotations"), 1):
                if number > reached:
                    yield self._listed(number, one, pictures, labels, members)
        except (ijson.JSONError, UnicodeDecodeError) as error:
            said_ = _first_line(error)
            raise SourceError("table_broken", f"This is no COCO file: {said_}.") from None
        if not number:
            raise SourceError(
                "table_broken", "This is no COCO file: it has no list 'annotations' with boxes."
            )

    def _entries(self, path: Path, name: str) -> Iterator[Any]:
        """Yield the entries of one of the file's lists."""
        import ijson

        with path.open("rb") as file:
            yield from ijson.items(Watched(file, self.alive), f"{name}.item", use_float=True)

    def _pictures(self, path: Path) -> dict[Any, tuple[str, str, int, int]]:
        """Return name, address, width and height (pixels, 0 if unknown) by the picture's id."""
        pictures: dict[Any, tuple[str, str, int, int]] = {}
        for one in self._entries(path, "images"):
            if not isinstance(one, dict) or not isinstance(one.get("id"), int | str):
                continue
            address = one.get("coco_url") or one.get("url") or ""
            pictures[one["id"]] = (
                str(one.get("file_name", "")),
                str(address) if str(address).startswith("http") else "",
                _number(one.get("width")),
                _number(one.get("height")),
            )
            if len(pictures) > _MAX_PICTURES:
                raise SourceError("table_broken", f"More than {_MAX_PICTURES:,} pictures.")
        return pictures

    def _listed(
        self,
        number: int,
        one: Any,
        pictures: dict[Any, tuple[str, str, int, int]],
        labels: dict[Any, str],
        members: dict[str, dict[str, Any]],
    ) -> Listed:
        cursor, name = str(number), f"box {number}"
        known = pictures.get(_key(one.get("image_id"))) if isinstance(one, dict) else None
        if known is None:
            return Listed(name, refusal=("invalid_row", "No picture goes with it."), cursor=cursor)
        file_name, address, width, height = known
        name = shown(f"{file_name or address} · {name}")
        box = _box(one.get("bbox"), width, height)
        if box is None:
            sentence = "It has no box (left, top, width, height in pixels) within its picture."
            return Listed(name, refusal=("box_outside", sentence), cursor=cursor)
        try:
            fields = image_fields.checked(
                {"label": labels.get(_key(one.get("category_id")), ""), "box": box}
            )
        except ValueError as error:
            return Listed(name, refusal=("invalid_row", str(error)), cursor=cursor)
        member = members.get(file_name) or members.get(Path(file_name).name)
        locator = {"member": member} if member else {"place": file_name, "address": address}
        return Listed(name, locator, fields, cursor=cursor)

    def _archive(self) -> Path | None:
        """Return an archive beside the file with the same name."""
        if self.source.location.startswith(KEPT):
            return None
        path = Path(self.source.location)
        for suffix in _ARCHIVES:
            try:
                return import_roots.inside(path.with_name(path.stem + suffix))
            except ServiceError:
                continue
        return None

    def _members(self, path: Path) -> dict[str, dict[str, Any]]:
        archive = self._archive()
        if archive is None:
            return {}
        members: dict[str, dict[str, Any]] = {}
        for member in (
            zip_archive.members(archive, 0)
            if zip_archive.is_zip(archive)
            else tar_archive.members(tar_archive.plain(archive, str(archive), self.alive), 0)
        ):
            if member.refusal is None and not member.is_folder:
                members[member.name] = member.locator
                members.setdefault(Path(member.name).name, member.locator)
        return members

    def open(self, item: ImportItem) -> AbstractContextManager[BinaryIO]:
        locator = item.locator or {}
        if "member" in locator:
            return self._open_member(locator["member"])
        places, name, address = self._places(), locator.get("place"), locator.get("address")
        try:
            if name and "://" not in name:
                return places.open(name)
        except ServiceError:
            if not address:
                raise
        return places.open(str(address or name))

    def _places(self) -> Places:
        return Places(self.source.location, beside=(".", "images", "../images"))

    def _open_member(self, locator: dict[str, Any]) -> AbstractContextManager[BinaryIO]:
        archive = self._archive()
        if archive is None:
            raise SourceError("path_missing", "The archive beside the file is gone.")
        if "entry" in locator:
            return zip_archive.open_member(archive, int(locator["entry"]))
        plain = tar_archive.plain(archive, str(archive), self.alive)
        return tar_archive.open_member(plain, int(locator["offset"]), int(locator["size"]))

    def reference(self, item: ImportItem) -> str:
        locator = item.locator or {}
        if "member" in locator:
            return ""
        try:
            return self._places().reference(str(locator.get("place")))
        except ServiceError:
            return str(locator.get("address") or "")


def _key(value: Any) -> Any:
    """Return an id as a dictionary key; a value that cannot be one matches nothing."""
    return value if isinstance(value, int | float | str) else None


def _first_line(error: Exception) -> str:
    """Return the parser's message without the excerpt of the file below it."""
    said_ = error.args[0] if error.args else ""
    text = said_.decode("utf-8", "replace") if isinstance(said_, bytes) else str(said_)
    return text.partition("\n")[0].rstrip(".")


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and 0 < value < 1e6 else 0


def _box(value: Any, width: int, height: int) -> list[int] | None:
    """Return whole pixels around a box; None when it is invalid or outside of its picture."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    if not all(isinstance(one, int | float) and abs(one) < 1e6 for one in value):
        return None
    left, top, wide, high = (float(one) for one in value)
    first, second = max(0, math.floor(left)), max(0, math.floor(top))
    right, bottom = math.ceil(left + wide), math.ceil(top + high)
    if width and height:
        right, bottom = min(right, width), min(bottom, height)
    if right <= first or bottom <= second or wide <= 0 or high <= 0:
        return None
    return [first, second, right - first, bottom - second]
