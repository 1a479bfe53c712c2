"""The table of facts of two compared images, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from searchapp.infra import storage
from searchapp.pages.responses import megabytes
from searchapp.services.compare.pair_comparison import ComparedPicture

NOTHING = "–"
_MAX_METADATA = 20
_MAX_VALUE_LENGTH = 200


@dataclass(frozen=True)
class ComparisonRow:
    name: str
    first: str
    second: str

    @property
    def differs(self) -> bool:
        """Whether both values are known and differ."""
        return self.first != self.second and NOTHING not in (self.first, self.second)


def facts_of(
    first: ComparedPicture,
    second: ComparedPicture,
    seen: Mapping[str, Any],
    other_seen: Mapping[str, Any],
) -> list[ComparisonRow]:
    """Return the rows of the table.

    `seen` and `other_seen` are width, height and format as a worker has decoded them, or empty.
    """
    one, two = _facts(first, seen), _facts(second, other_seen)
    names = [*one, *(name for name in two if name not in one)]
    rows = [ComparisonRow(name, one.get(name, NOTHING), two.get(name, NOTHING)) for name in names]
    return [row for row in rows if (row.first, row.second) != (NOTHING, NOTHING)]


def _facts(side: ComparedPicture, seen: Mapping[str, Any]) -> dict[str, str]:
    image, query = side.image, side.query
    width, height = seen.get("width"), seen.get("height")
    kind = seen.get("format", "")
    if image is not None:
        length: int | None = image.bytes
        if side.box is None:
            width, height = width or image.width, height or image.height
        kind = kind or image.format
    else:
        length = storage.query_bytes(side.picture.sha256)
    facts = {
        "Name": (image.name if image is not None else query.name if query else "") or NOTHING,
        "Size": f"{width} × {height}" if width and height else NOTHING,
        "Proportions": _proportions(width, height) if width and height else NOTHING,
        "Format": kind.upper() or NOTHING,
        "File": megabytes(length) if length is not None else NOTHING,
        "SHA-256": f"{side.picture.sha256[:16]}…",
        "Part": f"box {side.box}" if side.box else NOTHING,
        "Added": f"{timezone.localtime(side.picture.created):%-d %B %Y, %H:%M} UTC",
    }
    if image is not None:
        facts |= {
            "Dataset": image.dataset.name,
            "Title": image.title or NOTHING,
            "Label": image.label or NOTHING,
            "Tags": ", ".join(map(str, image.tags)) or NOTHING,
        }
        if isinstance(image.metadata, dict):
            for name, value in list(image.metadata.items())[:_MAX_METADATA]:
                facts.setdefault(str(name), str(value)[:_MAX_VALUE_LENGTH])
    return facts


def _proportions(width: int, height: int) -> str:
    if width < height / 10:  # two decimals are too few for the width of a narrow strip
        return f"1 : {height / width:.2f}"
    return f"{width / height:.2f} : 1"
