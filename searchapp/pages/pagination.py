"""Keyset pagination: a page starts after a key, so the last costs as much as the first."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from searchapp.models import Image

MAX_KEY = 2**63 - 1


@dataclass(frozen=True)
class Page:
    """Images, newest first; `older` is the key of the next page, None at the end."""

    images: list[Image]
    older: int | None


def page_of(images: QuerySet[Image], before: int | None, size: int) -> Page:
    """Return at most `size` images with keys below `before`, or the newest ones."""
    chosen = images.order_by("-pk")
    if before is not None:
        chosen = chosen.filter(pk__lt=before)
    # One extra row shows whether there is a next page.
    rows = list(chosen[: size + 1])
    return Page(rows[:size], rows[size - 1].pk if len(rows) > size else None)


def key_of(value: str | None) -> int | None:
    """Parse a key from a URL; None where it is missing or invalid."""
    if value and value.isascii() and value.isdigit() and 0 < int(value[:20]) <= MAX_KEY:
        return int(value[:20])
    return None
