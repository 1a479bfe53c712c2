"""Moments that clients send: in addresses, cursors and requests."""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive


def parse_moment(text: str) -> datetime | None:
    """Read a moment, with its zone; None where it is missing, invalid, or out of the range of UTC.

    A `+` that an address turned into a blank is read as one.
    """
    try:
        moment = parse_datetime(text.replace(" ", "+"))
        return None if moment is None or is_naive(moment) else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
