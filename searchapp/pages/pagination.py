"""Keyset paging: a page begins after a key, so the last page costs what the first one does."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from searchapp.models import Image

MAX_KEY = 2**63 - 1


@dataclass(frozen=True)
class Page:
    """Pictures, newest first; `older` is the key to ask the next page with, None at the end."""

    images: list[Image]
    older: int | None


def page_of(images: QuerySet[Image], before: int | None, size: int) -> Page:
    """Return at most `size` images with keys below `before`, or the newest ones."""
    chosen = images.order_by("-pk")
    if before is not None:
        chosen = chosen.filter(pk__lt=before)
    # One more than is shown tells whether there is a next page.
    rows = list(chosen[: size + 1])
    return Page(rows[:size], rows[size - 1].pk if len(rows) > size else None)


def key_of(value: str | None) -> int | None:
    """Read a key from an address; None where there is none that makes sense."""
    if value and value.isascii() and value.isdigit() and 0 < int(value[:20]) <= MAX_KEY:
        return int(value[:20])
    return None
