"""The benchmark of bundles, small: every format and every peer writes and reads."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest

from benchmarks.library import bundles
from benchmarks.options import Options
from benchmarks.report import NotHere, Table
from embeddings.bundle import FORMATS


@pytest.mark.long
def test_every_format_and_every_peer_has_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "FORMATS", ("npy", "jsonl"))
    monkeypatch.setattr(bundles, "_PEERS", ("numpy", "pandas"))
    text, table = bundles.run(Options(vectors=30))
    assert isinstance(text, str)
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["bundle, npy", "bundle, jsonl", "numpy", "pandas"]
    for row in table.rows:
        numbers = [float(cell) for cell in row[1:] if cell != "–"]
        assert all(number >= 0 for number in numbers)
        assert min(float(row[2]), float(row[6])) > 10
    assert set(table.rows[0][0].split()) & set(FORMATS)


def test_a_disk_without_room_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=10**6))
    with pytest.raises(NotHere, match=r"4\.0 GB of disk; --vectors"):
        bundles.run(Options())
