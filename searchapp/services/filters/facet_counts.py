"""Facet counts: count the field values of a dataset in bounded memory, and merge several counts.

Of a field with very many distinct values only the most frequent are kept; the number of images that
have the field, its kind, its minimum and its maximum are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from searchapp.models import Image, ImageState
from searchapp.services.filters.fields import (
    FIXED,
    MAX_NAME_LENGTH,
    METADATA,
    FieldKind,
    color_of,
    date_of,
    fold,
    number_of,
    orientation_of,
    seconds_of,
)

_ROWS_AT_ONCE = 5000
_MAX_DISTINCT = 20_000  # distinct values of a field held while counting
_KEPT_VALUES = 100  # of a field
_MAX_FIELDS = 300  # of a dataset, the most frequent
_MAX_VALUE_LENGTH = 120  # characters of a value that is kept
_COLUMNS = (
    "pk", "label", "tags", "format", "color", "width", "height", "bytes", "created", "metadata",
)  # fmt: skip
Values = dict[str, tuple[str, int]]  # by folded text: spelling and count
Ends = tuple[float, float]


@dataclass
class Counted:
    """The counts of one field: `number` of images, `total` of values (words, for lists)."""

    name: str
    number: int
    total: int
    kinds: dict[str, int]
    values: Values
    numbers: Ends | None
    dates: Ends | None

    @property
    def kind(self) -> FieldKind:
        """The kind of at least 95 % of its values, else text."""
        for kind in (FieldKind.WORDS, FieldKind.YES_NO, FieldKind.DATE, FieldKind.NUMBER):
            if self.number and self.kinds.get(kind, 0) >= 0.95 * self.number:
                return kind
        return FieldKind.TEXT


@dataclass
class _Tally:
    """One field during counting: raw values and their counts, classified later by `digest`."""

    number: int = 0
    total: int = 0
    raw: dict[Any, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    values: Values = field(default_factory=dict)
    numbers: Ends | None = None
    dates: Ends | None = None

    def add(self, value: Any) -> None:
        # True and 1 are the same dictionary key.
        key = ("true" if value else "false",) if isinstance(value, bool) else value
        self.raw[key] = self.raw.get(key, 0) + 1
        self.total += 1
        if len(self.raw) > _MAX_DISTINCT:
            self.digest()

    def digest(self) -> None:
        """Classify the raw values, each once, and discard them."""
        for raw, times in self.raw.items():
            if isinstance(raw, tuple):
                self._count(FieldKind.YES_NO, times)
                self._spell(raw[0], times)
                continue
            number, seconds = number_of(raw), date_of(raw)
            if number is not None:
                self._count(FieldKind.NUMBER, times)
                self.numbers = _wider(self.numbers, number)
            if seconds is not None:
                self._count(FieldKind.DATE, times)
                self.dates = _wider(self.dates, seconds)
            self._spell(_plain(raw), times)
        self.raw = {}
        if len(self.values) > _MAX_DISTINCT:
            self.values = _frequent(self.values, _MAX_DISTINCT // 2)

    def _count(self, kind: FieldKind, times: int) -> None:
        self.kinds[kind] = self.kinds.get(kind, 0) + times

    def _spell(self, text: str, times: int) -> None:
        folded = fold(text)
        if not folded or len(text) > _MAX_VALUE_LENGTH:  # too long to choose from a list
            return
        shown, before = self.values.get(folded, (text.strip(), 0))
        self.values[folded] = (shown, before + times)

    def to_json(self) -> dict[str, Any]:
        self.digest()
        return {
            "number": self.number,
            "total": self.total,
            "kinds": self.kinds,
            "values": _frequent(self.values, _KEPT_VALUES),
            "numbers": self.numbers,
            "dates": self.dates,
        }


def count_pictures(dataset: int) -> dict[str, Any]:
    """Count the fields of a dataset's ready images; returns JSON data for `merge`."""
    tallies: dict[str, _Tally] = {}

    def one(name: str, value: Any) -> None:
        tally = tallies.setdefault(name, _Tally())
        tally.number += 1
        tally.add(value)

    def several(name: str, values: list[Any]) -> None:
        tally = tallies.setdefault(name, _Tally())
        tally.number += 1
        tally.kinds[FieldKind.WORDS] = tally.kinds.get(FieldKind.WORDS, 0) + 1
        for value in values:
            if isinstance(value, str | int | float):
                tally.add(value)

    def ends(name: str, value: float, *, date: bool = False) -> None:
        tally = tallies.setdefault(name, _Tally())
        tally.number += 1
        tally.total += 1
        if date:
            tally.dates = _wider(tally.dates, value)
        else:
            tally.numbers = _wider(tally.numbers, value)

    for _, label, tags, format_, color, width, height, size, created, metadata in _rows(dataset):
        if label:
            one("label", label)
        if tags:
            several("tags", tags)
        for name, choice in (
            ("format", format_),
            ("orientation", orientation_of(width, height)),
            ("color", color_of(color)),
        ):
            if choice:
                one(name, choice)
        for name, number in (("width", width), ("height", height), ("bytes", size)):
            if number is not None:
                ends(name, number)
        ends("created", seconds_of(created), date=True)
        for name, value in metadata.items() if isinstance(metadata, dict) else ():
            if not 0 < len(name) <= MAX_NAME_LENGTH:  # no filter can name it
                continue
            if isinstance(value, list) and value:
                several(METADATA + name, value)
            elif isinstance(value, str | int | float) and value != "":
                one(METADATA + name, value)
    most = sorted(tallies, key=lambda name: (name not in FIXED, -tallies[name].number, name))
    return {name: tallies[name].to_json() for name in most[: _MAX_FIELDS + len(FIXED)]}


def _rows(dataset: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows, in batches, so that no statement runs long."""
    after = 0
    while True:
        ready = Image.objects.filter(dataset=dataset, state=ImageState.READY, pk__gt=after)
        rows = list(ready.order_by("pk").values_list(*_COLUMNS)[:_ROWS_AT_ONCE])
        if not rows:
            return
        yield from rows
        after = rows[-1][0]


def merge(counts: Iterable[dict[str, Any]]) -> dict[str, Counted]:
    """Merge the results of `count_pictures` for several datasets, by field name."""
    merged: dict[str, Counted] = {}
    for count in counts:
        for name, field_counts in count.items():
            into = merged.setdefault(name, Counted(name, 0, 0, {}, {}, None, None))
            into.number += field_counts["number"]
            into.total += field_counts["total"]
            for kind, number in field_counts["kinds"].items():
                into.kinds[kind] = into.kinds.get(kind, 0) + number
            for folded, (shown, number) in field_counts["values"].items():
                spelt, before = into.values.get(folded, (shown, 0))
                into.values[folded] = (spelt, before + number)
            into.numbers = _both(into.numbers, field_counts["numbers"])
            into.dates = _both(into.dates, field_counts["dates"])
    return merged


def _plain(raw: Any) -> str:
    if isinstance(raw, float) and raw.is_integer() and abs(raw) < 1e15:
        return str(int(raw))
    return str(raw)


def _wider(ends: Ends | None, value: float) -> Ends:
    return (value, value) if ends is None else (min(ends[0], value), max(ends[1], value))


def _both(one: Ends | None, other: Sequence[float] | None) -> Ends | None:
    if other is None:
        return one
    low, high = other
    return (low, high) if one is None else (min(one[0], low), max(one[1], high))


def _frequent(values: Values, most: int) -> Values:
    top = sorted(values.items(), key=lambda item: (-item[1][1], item[0]))[:most]
    return dict(top)
