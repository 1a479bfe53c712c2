"""Suggested boxes: salient regions of a query picture or an image."""

from __future__ import annotations

from searchapp.models import Image, Query
from searchapp.services import query_rpc
from searchapp.services.errors import ServiceError
from searchapp.services.search.box import Box


def remembered_regions(subject: Query | Image) -> list[Box] | None:
    """Return the cached boxes, or None when none have been computed."""
    try:
        return _boxes(query_rpc.remembered_regions(_key(subject)))
    except ServiceError:
        return None


def find_regions(subject: Query | Image) -> list[Box]:
    """Return up to four boxes, the clearest first; a worker computes them and they are cached.

    Raises `ServiceError` when no worker answers in time or the picture cannot be read.
    """
    image_id = subject.pk if isinstance(subject, Image) else None
    return _boxes(query_rpc.ask_regions(_key(subject), image_id)) or []


def _key(subject: Query | Image) -> str:
    return subject.thumbnail_key if isinstance(subject, Image) else subject.sha256


def _boxes(regions: list[list[float]] | None) -> list[Box] | None:
    return None if regions is None else [Box(*numbers) for numbers in regions]
