"""The collection benchmark on a few pictures: every way is measured, what is missing is said."""

from __future__ import annotations

import importlib.util

import pytest

from benchmarks.library import collection
from benchmarks.options import Options
from benchmarks.report import Table


@pytest.mark.long
def test_every_way_but_that_of_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name)
    )
    monkeypatch.setattr(collection, "_LIGHT_ROWS", 1000)
    parts = collection.run(Options(chained=20, rounds=1))
    text = "\n".join(part for part in parts if isinstance(part, str))
    (table,) = (part for part in parts if isinstance(part, Table))
    assert len(table.rows) == 4
    assert all(float(row[2]) > 0 for row in table.rows)
    assert table.rows[0][3] == "100 %"
    assert text.count("(aim: ") == 2
    assert "Ray is not installed here and is left out." in text
    assert "caller's thread 0." in text
