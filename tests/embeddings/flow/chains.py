"""Wild chains of steps, as a collection and as plain Python to hold it against."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from embeddings import DataCollection

Rows = list[dict[str, int]]


@dataclass(frozen=True)
class Link:
    """One step: put onto a collection, and done to a list. `number` is what it varies by."""

    name: str
    number: int

    def onto(self, collection: DataCollection) -> DataCollection:
        return _LINKS[self.name][0](collection, self.number)

    def done(self, rows: Rows) -> Rows:
        return _LINKS[self.name][1](rows, self.number)


class Batches:
    """A node with batches, whose results do not depend on them."""

    def __init__(self, number: int) -> None:
        self._number = number

    def batch(self, values: list[int]) -> list[int]:
        return [self(value) for value in values]

    def __call__(self, value: int) -> int:
        return value * self._number


def _group(rows: Rows, number: int) -> Rows:
    keys = list(dict.fromkeys(row["x"] % number for row in rows))
    return [{"x": key, "y": sum(row["x"] % number == key for row in rows)} for key in keys]


_LINKS: dict[
    str, tuple[Callable[[DataCollection, int], DataCollection], Callable[[Rows, int], Rows]]
] = {
    "map": (
        lambda dc, n: dc.map(lambda row: {**row, "x": row["x"] + n}),
        lambda rows, n: [{**row, "x": row["x"] + n} for row in rows],
    ),
    "columns": (
        lambda dc, n: dc.map(lambda x, y: (y, x - n), ("x", "y"), ("x", "y")),
        lambda rows, n: [{"x": row["y"], "y": row["x"] - n} for row in rows],
    ),
    "batches": (
        lambda dc, n: dc.map(Batches(n), "x", "x"),
        lambda rows, n: [{**row, "x": row["x"] * n} for row in rows],
    ),
    "filter": (
        lambda dc, n: dc.filter(lambda x: x % n, "x"),
        lambda rows, n: [row for row in rows if row["x"] % n],
    ),
    "flat_map": (
        lambda dc, n: dc.flat_map(lambda x: range(abs(x) % n), "x", "y"),
        lambda rows, n: [{**row, "y": y} for row in rows for y in range(abs(row["x"]) % n)],
    ),
    "regroup": (
        lambda dc, n: dc.batch(n).flat_map(lambda rows: rows[::-1]),
        lambda rows, n: [row for at in range(0, len(rows), n) for row in rows[at : at + n][::-1]],
    ),
    "window": (
        lambda dc, n: dc.window(n, 2).map(lambda rows: {"x": len(rows), "y": rows[-1]["x"]}),
        lambda rows, n: [
            {"x": len(rows[at : at + n]), "y": rows[at : at + n][-1]["x"]}
            for at in range(0, len(rows), 2)
        ],
    ),
    "head": (lambda dc, n: dc.head(3 * n), lambda rows, n: rows[: 3 * n]),
    "concat": (
        lambda dc, n: dc.concat([{"x": n, "y": 0}], dc.head(1)),
        lambda rows, n: [*rows, {"x": n, "y": 0}, *rows[:1]],
    ),
    "zip": (
        lambda dc, n: dc.zip([n] * 20).map(lambda p: {"x": p[0]["x"], "y": p[1]}),
        lambda rows, n: [{"x": row["x"], "y": n} for row in rows[:20]],
    ),
    "group": (
        lambda dc, n: dc.group_by(lambda row: row["x"] % n).map(
            lambda pair: {"x": pair[0], "y": len(pair[1])}
        ),
        _group,
    ),
    "select": (
        lambda dc, n: dc.map(lambda x: x % n, "x", "x").select_from(range(100, 110), "x", "y"),
        lambda rows, n: [{"x": row["x"] % n, "y": 100 + row["x"] % n} for row in rows],
    ),
}

links = st.lists(
    st.builds(Link, st.sampled_from(sorted(_LINKS)), st.integers(1, 5)), min_size=1, max_size=6
)
sources = st.lists(st.integers(-20, 20), max_size=40)


def collection(numbers: list[int], chain: list[Link]) -> DataCollection:
    """The chain over rows of these numbers."""
    dc = DataCollection([{"x": number, "y": at} for at, number in enumerate(numbers)])
    for link in chain:
        dc = link.onto(dc)
    return dc


def expected(numbers: list[int], chain: list[Link]) -> list[Any]:
    """What it must give."""
    rows: Rows = [{"x": number, "y": at} for at, number in enumerate(numbers)]
    for link in chain:
        rows = link.done(rows)
    return rows


def until_failure(rows: Iterable[Any]) -> tuple[list[Any], Exception]:
    """The rows before one that fails, and its error."""
    results: list[Any] = []
    try:
        for row in rows:
            results.append(row)
    except Exception as error:
        return results, error
    raise AssertionError(f"nothing failed: {results}")
