"""Filter conditions as a validated tree: `parse` reads it from JSON, `to_json` writes it.

{"all": [{"field": "label", "in": ["cat", "dog"]},
         {"field": "width", "min": 800},
         {"not": {"field": "tags", "any": ["drawing"]}}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from searchapp.services.errors import Invalid
from searchapp.services.filters.fields import (
    FIXED,
    MAX_NAME_LENGTH,
    METADATA,
    FieldKind,
    Op,
    date_of,
    fold,
    number_of,
    words_of,
)

MAX_DEPTH = 8
MAX_NODES = 100
MAX_VALUES = 500  # in the whole tree
MAX_TEXT_LENGTH = 255  # characters
MAX_PREFIX_LENGTH = 48  # characters that a `begins` test can compare
_GROUPS = ("all", "any")
_BOUNDS = ("min", "max")


@dataclass(frozen=True)
class All:
    """All of `parts` hold."""

    parts: tuple[Condition, ...]

    def to_json(self) -> dict[str, Any]:
        return {"all": [part.to_json() for part in self.parts]}


@dataclass(frozen=True)
class Any_:
    """At least one of `parts` holds."""

    parts: tuple[Condition, ...]

    def to_json(self) -> dict[str, Any]:
        return {"any": [part.to_json() for part in self.parts]}


@dataclass(frozen=True)
class Not:
    part: Condition

    def to_json(self) -> dict[str, Any]:
        return {"not": self.part.to_json()}


Value = str | float | bool


@dataclass(frozen=True)
class Test:
    """A test of one field.

    `values` are unchanged from the input. A range has `low` and `high` instead, each a number or a
    date as text, or None when that end is open.
    """

    field: str
    op: Op
    values: tuple[Value, ...] = ()
    low: Value | None = None
    high: Value | None = None

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"field": self.field}
        if self.op == Op.RANGE:
            data |= {
                name: value
                for name, value in zip(_BOUNDS, (self.low, self.high), strict=True)
                if value is not None
            }
        elif self.op in (Op.EQUALS, Op.BEGINS, Op.WORDS, Op.EXISTS):
            data[str(self.op)] = self.values[0]
        else:
            data[str(self.op)] = list(self.values)
        return data


Condition = All | Any_ | Not | Test


def parse(data: object, *, place: str = "filter") -> Condition | None:
    """Return the validated tree of a filter's JSON, or None for an empty filter (null or {}).

    Raises `Invalid` (`invalid_filter`), naming the place of the mistake, when it is not valid.
    """
    if data is None or data == {}:
        return None
    return _Parser().condition(data, place, 1)


def all_of(*conditions: Condition | None) -> Condition | None:
    """Return the conjunction of the conditions that are not None, or None without any."""
    parts = tuple(part for part in conditions if part is not None)
    if len(parts) < 2:
        return parts[0] if parts else None
    return All(parts)


class _Parser:
    def __init__(self) -> None:
        self._nodes = 0
        self._values = 0

    def condition(self, data: object, place: str, depth: int) -> Condition:
        if not isinstance(data, Mapping):
            _refuse(place, 'this must be a JSON object, such as {"field": "label", "equals": "x"}.')
        self._nodes += 1
        if self._nodes > MAX_NODES:
            _refuse(place, f"a filter has at most {MAX_NODES} conditions.")
        if depth > MAX_DEPTH:
            _refuse(place, f"a filter is at most {MAX_DEPTH} levels deep.")
        if "field" in data:
            return self._test(data, place)
        if len(data) == 1:
            ((name, inner),) = data.items()
            if name == "not":
                return Not(self.condition(inner, f"{place}.not", depth + 1))
            if name in _GROUPS:
                if not isinstance(inner, list) or not inner:
                    _refuse(f"{place}.{name}", "this must be a list of one or more conditions.")
                parts = tuple(
                    self.condition(part, f"{place}.{name}[{number}]", depth + 1)
                    for number, part in enumerate(inner)
                )
                return All(parts) if name == "all" else Any_(parts)
        _refuse(place, 'a condition has a "field", or is one of "all", "any", "not".')

    def _test(self, data: Mapping[Any, Any], place: str) -> Test:
        field = _field(data["field"], f"{place}.field")
        names = [name for name in data if name != "field"]
        allowed = [str(op) for op in _operators(field) if op != Op.RANGE]
        if Op.RANGE in _operators(field):
            allowed += _BOUNDS
        message = f"{field} takes one of: {', '.join(sorted(allowed))}."
        unknown = next((name for name in names if name not in allowed), None)
        if unknown is not None:
            _refuse(place, message)
        if names and set(names) <= set(_BOUNDS):
            return self._range(field, data, place)
        if len(names) != 1:
            _refuse(place, message)
        op = Op(names[0])
        inner, where = data[names[0]], f"{place}.{names[0]}"
        if op == Op.EXISTS:
            if not isinstance(inner, bool):
                _refuse(where, "this must be true or false.")
            return Test(field, op, (inner,))
        if op in (Op.EQUALS, Op.BEGINS, Op.WORDS):
            return Test(field, op, (self._value(field, op, inner, where),))
        if not isinstance(inner, list) or not inner:
            _refuse(where, "this must be a list of one or more values.")
        return Test(
            field,
            op,
            tuple(
                self._value(field, op, value, f"{where}[{number}]")
                for number, value in enumerate(inner)
            ),
        )

    def _value(self, field: str, op: Op, value: object, place: str) -> Value:
        self._values += 1
        if self._values > MAX_VALUES:
            _refuse(place, f"a filter has at most {MAX_VALUES} values.")
        fixed = FIXED.get(field)
        if fixed is not None and fixed.choices:
            if value not in fixed.choices:
                _refuse(place, f"{field} is one of: {', '.join(fixed.choices)}.")
            return str(value)
        if fixed is not None and fixed.kind == FieldKind.NUMBER:
            return _number(value, place)
        if fixed is None and op in (Op.EQUALS, Op.IN, Op.ANY, Op.ALL, Op.NONE):
            if isinstance(value, bool):
                return value
            if isinstance(value, int | float):
                return _number(value, place)
        text = _text(value, place)
        if op == Op.WORDS and not words_of(text):
            _refuse(place, "this must have a word: letters or digits.")
        if op == Op.BEGINS and len(fold(text)) > MAX_PREFIX_LENGTH:
            _refuse(place, f"a beginning has at most {MAX_PREFIX_LENGTH} characters.")
        return text

    def _range(self, field: str, data: Mapping[Any, Any], place: str) -> Test:
        fixed = FIXED.get(field)
        ends: dict[str, Value] = {}
        for name in _BOUNDS:
            if name not in data:
                continue
            value, where = data[name], f"{place}.{name}"
            as_date = isinstance(value, str)
            if fixed is not None:
                as_date = fixed.kind == FieldKind.DATE
            if as_date:
                if date_of(value) is None:
                    _refuse(where, "this must be a date, such as 2026-03-31, or a moment.")
                ends[name] = str(value)
            else:
                ends[name] = _number(value, where)
        if len({isinstance(value, str) for value in ends.values()}) > 1:
            _refuse(place, "min and max must both be numbers or both be dates.")
        return Test(field, Op.RANGE, (), ends.get("min"), ends.get("max"))


def _operators(field: str) -> frozenset[Op]:
    fixed = FIXED.get(field)
    return frozenset(Op) if fixed is None else fixed.operators


def _field(value: object, place: str) -> str:
    if isinstance(value, str) and value in FIXED:
        return value
    if isinstance(value, str) and value.startswith(METADATA):
        name = value.removeprefix(METADATA)
        if 0 < len(name) <= MAX_NAME_LENGTH and _is_text(name):
            return value
    _refuse(place, f"a field is one of {', '.join(FIXED)}, or {METADATA}NAME.")


def _text(value: object, place: str) -> str:
    if not isinstance(value, str):
        _refuse(place, "this must be text.")
    if len(value) > MAX_TEXT_LENGTH:
        _refuse(place, f"this text has more than {MAX_TEXT_LENGTH} characters.")
    if not _is_text(value):
        _refuse(place, "this text has a character that cannot be looked for.")
    if not fold(value):
        _refuse(place, "this text is empty.")
    return value


def _is_text(value: str) -> bool:
    """Return whether UTF-8 can encode it and databases can store it."""
    return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _number(value: object, place: str) -> float:
    number = number_of(value) if not isinstance(value, str) else None
    if number is None:
        _refuse(place, "this must be a finite number.")
    return number


def _refuse(place: str, why: str) -> NoReturn:
    raise Invalid("invalid_filter", f"{place}: {why}")
