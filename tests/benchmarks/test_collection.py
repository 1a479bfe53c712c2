"""The collection benchmark on a few pictures: every way is measured."""

from __future__ import annotations

from benchmarks import collection
from benchmarks.options import Options
from benchmarks.report import Table


def test_every_way_is_measured() -> None:
    found = collection.run(Options(chained=20, rounds=1))
    said = "\n".join(part for part in found if isinstance(part, str))
    (table,) = (part for part in found if isinstance(part, Table))
    assert [row[0] for row in table.rows] == list(collection._WAYS.values())
    assert all(float(row[2]) > 0 for row in table.rows)
    assert table.rows[0][3] == "100 %"
    assert said.count("(aim: ") == 3
    assert "Ray 0." in said
