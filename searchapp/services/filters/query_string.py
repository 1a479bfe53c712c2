"""Filters as URL query parameters: parsing and writing.

    ?f.label=cat&f.label=dog&f.width~min=800&f.tags~all=red&f.metadata.year~max=1980

Several values of one name are alternatives (except with `~all` and `~none` for tags); different
names must all match. Conditions that this form cannot express are given as JSON in `filter`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Protocol
from urllib.parse import unquote

from searchapp.services.errors import Invalid
from searchapp.services.filters.fields import FIXED, FieldKind, Op, date_of, number_of
from searchapp.services.filters.tree import All, Condition, Test, all_of, parse

PREFIX = "f."
WHOLE = "filter"
MAX_FILTER_LENGTH = 16_384  # characters
_ENDS = ("min", "max")
_ONE = (Op.BEGINS, Op.WORDS)
_MANY = (Op.ANY, Op.ALL, Op.NONE)
_YES = {"yes": True, "no": False}


class Parameters(Protocol):
    """The part of Django's `QueryDict` that is used here."""

    def __iter__(self) -> Any: ...

    def getlist(self, key: str) -> Sequence[Any]: ...


def read(parameters: Parameters) -> Condition | None:
    """Return the condition given by query parameters, ignoring empty values.

    Raises `Invalid` (`invalid_filter`) when they are not a valid filter.
    """
    parts: list[dict[str, Any]] = []
    ranges: dict[str, dict[str, Any]] = {}
    for name in parameters:
        if not name.startswith(PREFIX):
            continue
        values = [value.strip() for value in parameters.getlist(name) if value.strip()]
        quoted, _, op = name.removeprefix(PREFIX).rpartition("~") if "~" in name else (
            name.removeprefix(PREFIX), "", ""
        )  # fmt: skip
        field = unquote(quoted)
        if not values:
            continue
        if op in _ENDS:
            if field not in ranges:
                ranges[field] = {"field": field}
                parts.append(ranges[field])
            ranges[field][op] = _end(field, values[-1])
        else:
            parts.append({"field": field, **_test(field, op, values)})
    flat = parse({"all": parts} if len(parts) > 1 else parts[0], place="f") if parts else None
    return all_of(flat, _whole(parameters))


def _whole(parameters: Parameters) -> Condition | None:
    texts = [text for text in parameters.getlist(WHOLE) if text.strip()]
    if not texts:
        return None
    try:
        if len(texts[-1]) > MAX_FILTER_LENGTH:
            raise ValueError("too long")
        return parse(json.loads(texts[-1]), place=WHOLE)
    except (ValueError, RecursionError):
        raise Invalid("invalid_filter", f"{WHOLE}: this is not JSON of a filter.") from None


def _test(field: str, op: str, values: list[str]) -> dict[str, Any]:
    fixed = FIXED.get(field)
    if op == "" and fixed is not None and fixed.kind == FieldKind.WORDS:
        op = Op.ANY
    if op == "":
        plain_values = [_plain(field, value) for value in values]
        return {"equals": plain_values[0]} if len(plain_values) == 1 else {"in": plain_values}
    if op == Op.EXISTS:
        return {"exists": _YES.get(values[-1], values[-1])}
    return {op: values if op in _MANY else values[-1]}


def _plain(field: str, value: str) -> Any:
    fixed = FIXED.get(field)
    if fixed is not None and fixed.kind == FieldKind.NUMBER:
        number = number_of(value)
        return value if number is None else number
    return value


def _end(field: str, value: str) -> Any:
    """Return a date as text, a number as a float, and any other value unchanged."""
    if date_of(value) is not None:
        return value
    number = number_of(value)
    return value if number is None else number


def write(condition: Condition | None) -> list[tuple[str, str]]:
    """Return the query parameters of a condition; `read` gives an equivalent condition."""
    if condition is None:
        return []
    parts = condition.parts if isinstance(condition, All) else (condition,)
    pairs: list[tuple[str, str]] = []
    seen: set[str] = set()
    for part in parts:
        written = _pairs(part) if isinstance(part, Test) else None
        names = {name for name, _ in written or ()}
        if written is None or names & seen:  # one name twice would read as alternatives
            text = json.dumps(condition.to_json(), ensure_ascii=False, separators=(",", ":"))
            return [(WHOLE, text)]
        seen |= names
        pairs += written
    return pairs


def _pairs(test: Test) -> list[tuple[str, str]] | None:
    """Return the parameters of one test, or None when they cannot express it."""
    numbers = [v for v in (*test.values, test.low, test.high) if isinstance(v, float)]
    if any(number_of(_shown(value)) != value for value in numbers):
        return None  # very large or very small
    name = name_of(test.field)
    if test.op == Op.RANGE:
        return [
            (f"{name}~{end}", _shown(value))
            for end, value in zip(_ENDS, (test.low, test.high), strict=True)
            if value is not None
        ]
    if test.op == Op.EXISTS:
        return [(f"{name}~{test.op}", "yes" if test.values[0] else "no")]
    if any(isinstance(value, str) and value != value.strip() for value in test.values):
        return None
    fixed = FIXED.get(test.field)
    is_words = fixed is not None and fixed.kind == FieldKind.WORDS
    plain = test.op in (Op.EQUALS, Op.IN) or (is_words and test.op == Op.ANY)
    suffix = "" if plain else f"~{test.op}"
    return [(f"{name}{suffix}", _shown(value)) for value in test.values]


def name_of(field: str) -> str:
    """Return the name of the parameter for a field."""
    return PREFIX + field.replace("%", "%25").replace("~", "%7E")


def _shown(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{Decimal(repr(value)):f}"
    return value
