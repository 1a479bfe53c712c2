"""Filter fields, their kinds and operators; normalisation of text, numbers, dates and colours."""

from __future__ import annotations

import datetime
import math
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.utils.dateparse import parse_date, parse_datetime

METADATA = "metadata."
MAX_NAME_LENGTH = 255  # characters of a metadata field's name


class FieldKind(StrEnum):
    """The kind of a field's values."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    YES_NO = "yes or no"
    WORDS = "words"  # a list


class Op(StrEnum):
    """Filter operators, by their names in the JSON of a filter."""

    EQUALS = "equals"
    IN = "in"
    BEGINS = "begins"
    WORDS = "words"
    RANGE = "range"  # in JSON: "min", "max" or both
    ANY = "any"
    ALL = "all"
    NONE = "none"
    EXISTS = "exists"


@dataclass(frozen=True)
class Field:
    """A field that every image has. `choices` are all of its possible values, if limited."""

    name: str
    title: str
    kind: FieldKind
    choices: tuple[str, ...] = ()

    @property
    def operators(self) -> frozenset[Op]:
        if self.choices:
            return frozenset({Op.EQUALS, Op.IN})
        return OPERATORS[self.kind]


OPERATORS: dict[FieldKind, frozenset[Op]] = {
    FieldKind.TEXT: frozenset({Op.EQUALS, Op.IN, Op.BEGINS, Op.WORDS, Op.EXISTS}),
    FieldKind.NUMBER: frozenset({Op.EQUALS, Op.IN, Op.RANGE, Op.EXISTS}),
    FieldKind.DATE: frozenset({Op.RANGE, Op.EXISTS}),
    FieldKind.YES_NO: frozenset({Op.EQUALS, Op.EXISTS}),
    FieldKind.WORDS: frozenset({Op.EQUALS, Op.ANY, Op.ALL, Op.NONE, Op.EXISTS}),
}

ORIENTATIONS = ("landscape", "portrait", "square")
COLORS = (
    "red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown",
    "black", "grey", "white",
)  # fmt: skip

FIXED: dict[str, Field] = {
    field.name: field
    for field in (
        Field("label", "Label", FieldKind.TEXT),
        Field("tags", "Tags", FieldKind.WORDS),
        Field("title", "Title", FieldKind.TEXT),
        Field("name", "File name", FieldKind.TEXT),
        Field("orientation", "Orientation", FieldKind.TEXT, ORIENTATIONS),
        Field("color", "Colour", FieldKind.TEXT, COLORS),
        Field("format", "Format", FieldKind.TEXT),
        Field("width", "Width", FieldKind.NUMBER),
        Field("height", "Height", FieldKind.NUMBER),
        Field("bytes", "File size", FieldKind.NUMBER),
        Field("created", "Added", FieldKind.DATE),
    )
}


def fold(text: str) -> str:
    """Normalise text for comparison: NFKC, case-folded, with white space as single spaces."""
    if text.isascii():
        return " ".join(text.lower().split())
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(plain.split())


_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """Return the distinct words of a text, folded, in their order."""
    return words_in(fold(text))


def words_in(folded: str) -> list[str]:
    """Return the distinct words of a folded text, in their order."""
    return list(dict.fromkeys(_WORD.findall(folded)))


_NUMBER = re.compile(r"[+-]?(\d{1,30})(\.\d{1,30})?")


def number_of(value: Any) -> float | None:
    """Return a value as a finite number; text is parsed, because tables hold numbers as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not (value.isascii() and _NUMBER.fullmatch(value)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number + 0.0 if math.isfinite(number) else None


_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?")
_DAY = datetime.timedelta(days=1)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def date_of(value: Any, *, end: bool = False) -> float | None:
    """Parse an ISO 8601 date or time (UTC if it has no zone) to seconds since 1970. With `end`, a
    date means the last microsecond of its day."""
    if not isinstance(value, str) or not value.isascii():
        return None
    try:
        if _DATE.fullmatch(value):
            day = parse_date(value)
            if day is None:
                return None
            start = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC)
            seconds = (start - _EPOCH).total_seconds()
            return seconds + _DAY.total_seconds() - 1e-6 if end else seconds
        moment = parse_datetime(value) if _MOMENT.fullmatch(value) else None
    except ValueError:
        return None
    if moment is None:
        return None
    return seconds_of(moment)


def seconds_of(moment: datetime.datetime) -> float:
    """Return a time as seconds since 1970; a naive one is taken as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return (moment - _EPOCH).total_seconds()


def iso_of(seconds: float) -> str:
    """Return the UTC date, in ISO format, of seconds since 1970.

    It is limited to the first and last day that Python supports, which a conversion to UTC may
    exceed.
    """
    days = math.floor(seconds / _DAY.total_seconds()) + _EPOCH.toordinal()
    first, last = datetime.date.min.toordinal(), datetime.date.max.toordinal()
    return datetime.date.fromordinal(max(first, min(last, days))).isoformat()


def orientation_of(width: int | None, height: int | None) -> str:
    """Return one of `ORIENTATIONS` (square within 5 %), or "" when the size is unknown."""
    if not width or not height:
        return ""
    ratio = width / height
    if 0.95 <= ratio <= 1 / 0.95:
        return "square"
    return "landscape" if ratio > 1 else "portrait"


_HEX = re.compile(r"#[0-9a-fA-F]{6}")
# The last hue (degrees) of each colour of the wheel, which begins and ends with red.
_HUES = (
    (14, "red"), (44, "orange"), (68, "yellow"), (165, "green"), (195, "cyan"), (255, "blue"),
    (295, "purple"), (343, "pink"), (360, "red"),
)  # fmt: skip


def color_of(color: str) -> str:
    """Return the one of `COLORS` that names a '#rrggbb' colour, or "" for other text."""
    if not _HEX.fullmatch(color):
        return ""
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    high, low = max(red, green, blue), min(red, green, blue)
    lightness, chroma = (high + low) / 2, high - low
    if lightness < 0.1 or high < 0.15:
        return "black"
    if chroma < 0.1 or (lightness > 0.95):
        return "white" if lightness > 0.85 else "grey" if lightness > 0.15 else "black"
    if high == red:
        hue = 60 * ((green - blue) / chroma % 6)
    elif high == green:
        hue = 60 * ((blue - red) / chroma + 2)
    else:
        hue = 60 * ((red - green) / chroma + 4)
    name = next(name for last, name in _HUES if hue <= last)
    # Dark or dull orange is called brown.
    if name in ("red", "orange", "yellow") and 10 <= hue <= 50:
        return "brown" if high < 0.65 or chroma < 0.3 else name
    return name
