"""The benchmark of concepts: its scores, and the whole on a few pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.options import Options
from benchmarks.quality import concepts, labels
from benchmarks.report import NotHere, Table
from harness.installation import ROOT


def test_scores() -> None:
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 2]]
    texts = np.eye(4, dtype=np.float32)[[0, 3]]
    right = concepts.score(vectors, texts[:1], ["a", "a", "b", "c"], ["a"])
    assert (right.precision, right.average) == (1, 1)
    # A text that is near to nothing keeps the order: c is the fourth of four.
    wrong = concepts.score(vectors, texts[1:], ["a", "a", "b", "c"], ["c"])
    assert (wrong.precision, wrong.average) == (1, 0.25)


@pytest.mark.long
def test_the_whole_on_a_few_pictures(tmp_path: Path) -> None:
    chosen = [one for one in labels.read(ROOT / "demo") if one.category in ("music", "fish")][:14]
    lines = ["file,category"]
    for one in chosen:
        shutil.copy(one.path, tmp_path)
        lines.append(f"{one.path.name},{one.category}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    how, quality, rates, cost = concepts.run(Options(folder=tmp_path, rounds=1))
    assert isinstance(how, str)
    assert "14 pictures" in how
    assert isinstance(quality, Table)
    assert [row[0].partition(":")[0] for row in quality.rows] == [
        "concepts",
        "the likeliest class's sentence alone",
        "chance",
    ]
    assert isinstance(rates, Table)
    assert isinstance(cost, str)
    assert "Both vectors take" in cost
    (tmp_path / "labels.csv").write_text("\n".join(lines[:3]) + "\n")
    with pytest.raises(NotHere, match="no category"):
        concepts.run(Options(folder=tmp_path))
