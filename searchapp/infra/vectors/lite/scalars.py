"""Columns of scalars, with which filters on Milvus Lite's rows are evaluated.

Milvus Lite stores the scalars of a row as JSON and parses it again, row by row, for each search,
which takes seconds for 100,000 rows. Here each sealed segment is parsed once, into sorted tokens
and one column per name. Evaluating a condition then takes a few lookups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Longs = npt.NDArray[np.int64]
META = "$meta"
_ROWS_AT_ONCE = 2000


class Unanswered(Exception):
    """The columns cannot evaluate this condition; the engine can."""


class _Gathered:
    """The values of one name, by type: a list of parts, each of rows and values."""

    def __init__(self) -> None:
        self.parts: dict[type, list[tuple[Longs, Any]]] = {}


class Columns:
    """The scalars of some rows, parsed from JSON.

    `_lists` has, for each name whose values are lists of integers, all values in ascending order
    and the row of each. `_numbers` and `_texts` have the rows that have a value, and the values.
    """

    def __init__(self, written: Sequence[str | None]) -> None:
        self.rows = len(written)
        # Names that have other or mixed types of values; the engine evaluates these.
        self._others: set[str] = set()
        gathered: dict[str, _Gathered] = {}
        for start in range(0, self.rows, _ROWS_AT_ONCE):
            self._gather(start, written[start : start + _ROWS_AT_ONCE], gathered)
        self._lists: dict[str, tuple[Longs, Longs]] = {}
        self._numbers: dict[str, tuple[Longs, npt.NDArray[np.float64]]] = {}
        self._texts: dict[str, tuple[Longs, _Texts]] = {}
        for name, column in gathered.items():
            if len(column.parts) > 1:
                self._others.add(name)
            for kind, parts in column.parts.items():
                rows = np.concatenate([rows for rows, _ in parts])
                if kind is list:
                    values = np.concatenate([values for _, values in parts])
                    order = np.argsort(values, kind="stable")
                    self._lists[name] = (values[order], rows[order])
                elif kind is float:
                    self._numbers[name] = (rows, np.concatenate([values for _, values in parts]))
                else:
                    texts = [text for _, values in parts for text in values]
                    self._texts[name] = (rows, _Texts(texts))

    def _gather(
        self, start: int, written: Sequence[str | None], gathered: dict[str, _Gathered]
    ) -> None:
        """Add some rows, the first of which is row `start`.

        They are so few that creating their arrays does not block other threads for long.
        """
        import orjson

        seen: dict[tuple[str, type], tuple[list[int], list[Any]]] = {}
        for row, text in enumerate(written, start):
            for name, value in orjson.loads(text).items() if text else ():
                rows, values = seen.setdefault((name, type(value)), ([], []))
                rows.append(row)
                values.append(value)
        for (name, kind), (rows, values) in seen.items():
            column: tuple[Longs, Any] | None = None
            if kind is list:
                column = _flat(rows, values)
            elif kind is float:
                column = (np.array(rows, np.int64), np.array(values, np.float64))
            elif kind is str:
                column = (np.array(rows, np.int64), values)
            if column is None:
                self._others.add(name)
            else:
                gathered.setdefault(name, _Gathered()).parts.setdefault(kind, []).append(column)

    def mask(self, node: Any) -> Mask:
        """Return the rows for which `node`, an expression tree of the engine, holds; shape (n,).

        Supports and, or, json_contains_any of integers and its negation, and comparisons of a name
        with a number or a text. Raises `Unanswered` when the expression contains anything else.
        """
        from milvus_lite.search.filter import ast

        match node:
            case ast.And(operands=parts):
                every: Mask = np.all([self.mask(part) for part in parts], axis=0)
                return every
            case ast.Or(operands=parts):
                some: Mask = np.any([self.mask(part) for part in parts], axis=0)
                return some
            case ast.Not(operand=ast.ArrayContainsOp() as part):
                return ~self.mask(part)
            case ast.ArrayContainsOp(
                value=ast.MetaAccess(key=name), values=ast.ListLit(elements=elements), mode="any"
            ) if all(isinstance(one, ast.IntLit) for one in elements):
                return self._contains(self._known(name), [one.value for one in elements])
            case ast.CmpOp(
                op=sign, left=ast.MetaAccess(key=name), right=ast.FloatLit(value=bound)
            ) if sign in _SIGNS:
                return self._compared(self._numbers.get(self._known(name)), sign, bound)
            case ast.CmpOp(
                op=sign, left=ast.MetaAccess(key=name), right=ast.StringLit(value=bound)
            ) if sign in _SIGNS:
                column = self._texts.get(self._known(name))
                return (
                    self._none()
                    if column is None
                    else self._of(column[0], column[1].mask(sign, bound))
                )
        raise Unanswered

    def _known(self, name: str) -> str:
        if name in self._others:
            raise Unanswered
        return name

    def _contains(self, name: str, numbers: list[int]) -> Mask:
        mask = self._none()
        if name in self._lists:
            values, rows = self._lists[name]
            for one in numbers:
                first, past = np.searchsorted(values, [one, one + 1])
                mask[rows[first:past]] = True
        return mask

    def _compared(
        self, column: tuple[Longs, npt.NDArray[np.float64]] | None, sign: str, bound: float
    ) -> Mask:
        if column is None:
            return self._none()
        return self._of(column[0], _SIGNS[sign](column[1], bound))

    def _of(self, rows: Longs, passed: Mask) -> Mask:
        mask = self._none()
        mask[rows[passed]] = True
        return mask

    def _none(self) -> Mask:
        return np.zeros(self.rows, dtype=bool)


_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "==": np.equal,
}  # fmt: skip


class _Texts:
    """A column of texts in an Arrow array, compared without creating a Python object for each."""

    def __init__(self, values: list[str]) -> None:
        import pyarrow as pa

        self._values = pa.array(values, pa.string())

    def mask(self, sign: str, bound: str) -> Mask:
        import pyarrow.compute as pc

        named = {"<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"}
        compared = getattr(pc, named.get(sign, "equal"))(self._values, bound)
        return np.asarray(compared.to_numpy(zero_copy_only=False), dtype=bool)


def _flat(rows: list[int], values: list[list[Any]]) -> tuple[Longs, Longs] | None:
    """Return two equally long arrays: each row repeated once per value of its list, and the values.

    Returns None if a value is not an integer.
    """
    try:
        flat = np.array([one for value in values for one in value])
    except (ValueError, OverflowError):
        return None
    if flat.size and (flat.dtype != np.int64 or flat.ndim != 1):
        return None
    repeated = np.repeat(np.array(rows, np.int64), [len(value) for value in values])
    return repeated, flat.astype(np.int64)


def columns_of(table: Any) -> Columns:
    """Return the scalars of an Arrow table; without any, it has no `$meta` column."""
    if META not in table.schema.names:
        return Columns([None] * table.num_rows)
    return Columns(table.column(META).to_pylist())
