"""Conditions on the scalars of Milvus Lite's rows, answered from columns.

Milvus Lite keeps a row's scalars as JSON text and reads that again, row by row, for each search:
seconds for 100,000 rows. Here each sealed segment is read once, into sorted tokens and one column a
name, and a condition is a few look-ups in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Longs = npt.NDArray[np.int64]
META = "$meta"


class Unanswered(Exception):
    """The columns cannot answer this condition: the engine can."""


class Columns:
    """The scalars of some rows, given as their JSON texts.

    `lists` has, for each name whose values are lists of integers, all values in ascending order and
    the row of each; `numbers` and `texts` have the rows that have a value, and the values.
    """

    def __init__(self, written: Iterable[str | None]) -> None:
        import orjson

        lists: dict[str, tuple[list[int], list[int]]] = {}
        numbers: dict[str, tuple[list[int], list[float]]] = {}
        texts: dict[str, tuple[list[int], list[str]]] = {}
        # Names whose values are something else in some row: the engine knows what that means.
        self._others: set[str] = set()
        self.rows = 0
        for row, text in enumerate(written):
            self.rows = row + 1
            for name, value in orjson.loads(text).items() if text else ():
                if isinstance(value, list) and all(type(one) is int for one in value):
                    of_lists = lists.setdefault(name, ([], []))
                    of_lists[0].extend([row] * len(value))
                    of_lists[1].extend(value)
                elif isinstance(value, float):
                    of_numbers = numbers.setdefault(name, ([], []))
                    of_numbers[0].append(row)
                    of_numbers[1].append(value)
                elif isinstance(value, str):
                    of_texts = texts.setdefault(name, ([], []))
                    of_texts[0].append(row)
                    of_texts[1].append(value)
                else:
                    self._others.add(name)
        for one, two in ((lists, numbers), (lists, texts), (numbers, texts)):
            self._others |= one.keys() & two.keys()
        self._lists = {name: _sorted(*columns) for name, columns in lists.items()}
        self._numbers = {
            name: (np.array(rows, np.int64), np.array(values, np.float64))
            for name, (rows, values) in numbers.items()
        }
        self._texts = {
            # Bytes of UTF-8 have the order of the characters that they spell.
            name: (np.array(rows, np.int64), _Texts(values))
            for name, (rows, values) in texts.items()
        }

    def mask(self, node: Any) -> Mask:
        """Tell for which rows the expression `node`, a tree of the engine's, holds; shape (n,).

        Raises:
            Unanswered: for what is none of: and, or, json_contains_any of integers or its negation,
                a comparison of a name with a number or a text.
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
                value=ast.MetaAccess(key=name), values=ast.ListLit(elements=wanted), mode="any"
            ) if all(isinstance(one, ast.IntLit) for one in wanted):
                return self._contains(self._known(name), [one.value for one in wanted])
            case ast.CmpOp(
                op=sign, left=ast.MetaAccess(key=name), right=ast.FloatLit(value=bound)
            ) if sign in _SIGNS:
                return self._compared(self._numbers.get(self._known(name)), sign, bound)
            case ast.CmpOp(
                op=sign, left=ast.MetaAccess(key=name), right=ast.StringLit(value=bound)
            ) if sign in _SIGNS:
                found = self._texts.get(self._known(name))
                return (
                    self._none()
                    if found is None
                    else self._of(found[0], found[1].mask(sign, bound))
                )
        raise Unanswered

    def _known(self, name: str) -> str:
        if name in self._others:
            raise Unanswered
        return name

    def _contains(self, name: str, wanted: list[int]) -> Mask:
        mask = self._none()
        if name in self._lists:
            values, rows = self._lists[name]
            for one in wanted:
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
    """A column of texts, in Arrow: compared without making an object of each."""

    def __init__(self, values: list[str]) -> None:
        import pyarrow as pa

        self._values = pa.array(values, pa.string())

    def mask(self, sign: str, bound: str) -> Mask:
        import pyarrow.compute as pc

        named = {"<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"}
        compared = getattr(pc, named.get(sign, "equal"))(self._values, bound)
        return np.asarray(compared.to_numpy(zero_copy_only=False), dtype=bool)


def _sorted(rows: list[int], values: list[int]) -> tuple[Longs, npt.NDArray[np.int32]]:
    numbers = np.array(values, np.int64)
    order = np.argsort(numbers, kind="stable")
    return numbers[order], np.array(rows, np.int32)[order]


def columns_of(table: Any) -> Columns:
    """Return the columns of an Arrow table's scalars. (One without any has no such column.)"""
    if META not in table.schema.names:
        return Columns([None] * table.num_rows)
    return Columns(table.column(META).to_pylist())
