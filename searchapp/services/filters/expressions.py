"""Compilation of filter conditions into Milvus expressions, and into predicates on image rows.

`resolve` turns a condition into a few simple predicates on the scalars of `filters.scalar_tokens`.
Their negations are predicates of the same kind: `not` never precedes a comparison, because servers
disagree on its result for rows without the value. An expression holds only generated names,
integers, finite numbers and hexadecimal digits, never user input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from searchapp.models import Image
from searchapp.services.filters.fields import FIXED, FieldKind, Op, date_of, number_of, words_of
from searchapp.services.filters.scalar_tokens import (
    TOKENS,
    Scalars,
    beginning,
    date_key,
    date_token,
    facts_of,
    number_key,
    number_token,
    text_key,
    text_token,
    there_token,
    value_token,
    word_token,
)
from searchapp.services.filters.tree import All, Any_, Condition, Not, Test


@dataclass(frozen=True)
class Has:
    """At least one of `tokens` is present; with `lacks`, none of them is."""

    tokens: tuple[int, ...]
    lacks: bool = False

    def worded(self) -> str:
        contains = f"json_contains_any({TOKENS}, [{', '.join(map(str, self.tokens))}])"
        return f"not {contains}" if self.lacks else contains

    def holds(self, scalars: Scalars) -> bool:
        there = scalars[TOKENS]
        assert isinstance(there, list)  # noqa: S101 (so it was made)
        return any(token in there for token in self.tokens) != self.lacks


@dataclass(frozen=True)
class ScalarComparison:
    """A number or hexadecimal text is present and compares to `bound` by `sign`: < <= > or >=."""

    key: str
    sign: str
    bound: float | str

    def worded(self) -> str:
        bound = f'"{self.bound}"' if isinstance(self.bound, str) else repr(self.bound)
        return f"{self.key} {self.sign} {bound}"

    def holds(self, scalars: Scalars) -> bool:
        value = scalars.get(self.key)
        if isinstance(value, str) and isinstance(self.bound, str):
            return _compare(value < self.bound, value == self.bound, self.sign)
        if isinstance(value, float) and isinstance(self.bound, float):
            return _compare(value < self.bound, value == self.bound, self.sign)
        return False


def _compare(less: bool, equal: bool, sign: str) -> bool:
    return (less if sign[0] == "<" else not less and not equal) or (equal and sign.endswith("="))


@dataclass(frozen=True)
class Joined:
    """All of `parts` hold, or any of them."""

    word: str  # "and", "or"
    parts: tuple[Question, ...]

    def worded(self) -> str:
        return f" {self.word} ".join(f"({part.worded()})" for part in self.parts)

    def holds(self, scalars: Scalars) -> bool:
        each = (part.holds(scalars) for part in self.parts)
        return all(each) if self.word == "and" else any(each)


Question = Has | ScalarComparison | Joined


def expression(condition: Condition) -> str:
    """Return the condition as a Milvus expression."""
    return resolve(condition).worded()


def judge_of(condition: Condition) -> Callable[[Image], bool]:
    """Return a predicate that tests the condition on an image's current row."""
    question, fields = resolve(condition), sorted(fields_of(condition))
    return lambda image: question.holds(facts_of(image, fields))


def fields_of(condition: Condition) -> set[str]:
    """Return the names of the fields used in a condition."""
    if isinstance(condition, Test):
        return {condition.field}
    parts = (condition.part,) if isinstance(condition, Not) else condition.parts
    return {field for part in parts for field in fields_of(part)}


def resolve(condition: Condition, negated: bool = False) -> Question:
    """Return the predicate of a condition, or its negation."""
    if isinstance(condition, Not):
        return resolve(condition.part, not negated)
    if isinstance(condition, All | Any_):
        word = "and" if isinstance(condition, All) != negated else "or"
        return _joined(word, [resolve(part, negated) for part in condition.parts])
    return _test(condition, negated)


def _joined(word: str, parts: list[Question]) -> Question:
    return parts[0] if len(parts) == 1 else Joined(word, tuple(parts))


def _test(test: Test, negated: bool) -> Question:
    field, values = test.field, test.values
    if test.op == Op.RANGE:
        return _range(test, negated)
    if test.op == Op.EXISTS:
        return Has((there_token(field),), lacks=negated == bool(values[0]))
    if test.op == Op.BEGINS:
        return _begins(field, str(values[0]), negated)
    if test.op == Op.WORDS:
        each = [Has((word_token(field, w),), negated) for w in words_of(str(values[0]))]
        return _joined("or" if negated else "and", list(each))
    if test.op == Op.ALL:
        each = [Has(_tokens(field, value), negated) for value in values]
        return _joined("or" if negated else "and", list(each))
    tokens = dict.fromkeys(token for value in values for token in _tokens(field, value))
    return Has(tuple(tokens), lacks=negated != (test.op == Op.NONE))


def _tokens(field: str, value: str | float | bool) -> tuple[int, ...]:
    """Return the tokens that match `value`: two for text that reads as a number, else one."""
    number = number_of(value) if isinstance(value, str) and field not in FIXED else None
    tokens = (value_token(field, value),)
    return tokens if number is None else (*tokens, value_token(field, number))


def _begins(field: str, text: str, negated: bool) -> Question:
    start, key = beginning(text), text_key(field)
    past = f"{start}g"  # sorts after every text that continues with a hexadecimal digit
    if not negated:
        return Joined("and", (ScalarComparison(key, ">=", start), ScalarComparison(key, "<", past)))
    outside = (ScalarComparison(key, "<", start), ScalarComparison(key, ">=", past))
    return Joined("or", (Has((text_token(field),), lacks=True), *outside))


def _range(test: Test, negated: bool) -> Question:
    fixed = FIXED.get(test.field)
    ends = [end for end in (test.low, test.high) if end is not None]
    as_date = fixed.kind == FieldKind.DATE if fixed is not None else isinstance(ends[0], str)
    key = date_key(test.field) if as_date else number_key(test.field)
    inside: list[Question] = []
    outside: list[Question] = []
    if test.low is not None:
        low = _bound(test.low, as_date, end=False)
        inside.append(ScalarComparison(key, ">=", low))
        outside.append(ScalarComparison(key, "<", low))
    if test.high is not None:
        high = _bound(test.high, as_date, end=True)
        inside.append(ScalarComparison(key, "<=", high))
        outside.append(ScalarComparison(key, ">", high))
    if not negated:
        return _joined("and", inside)
    there = date_token(test.field) if as_date else number_token(test.field)
    return Joined("or", (Has((there,), lacks=True), *outside))


def _bound(value: str | float | bool, as_date: bool, *, end: bool) -> float:
    bound = date_of(value, end=end) if as_date else number_of(value)
    assert bound is not None  # noqa: S101 (`parse` has checked it)
    return bound
