"""`docs/collections.md`: its examples do what their comments say, its tables are complete."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from embeddings import DataCollection
from embeddings.flow.engines.ray import OPTIONS
from harness.installation import ROOT
from tests.docs.markdown import blocks, run, tables

PAGE = ROOT / "docs" / "collections.md"

CHECKS = """
assert numbers.to_list() == ["3", "13", "23", "43", "53", "73", "83"]
assert len(similar.first()) == 5 and similar.count() == len(vectors)
assert set(similar.first()) <= set(gallery)
assert 0 < count <= len(vectors)
assert [failed.input for failed in dc.exceptions()] == ["demo/demo.csv"]
"""


@pytest.mark.long
def test_the_examples_work_without_the_application(tmp_path: Path) -> None:
    examples = [block.text for block in blocks(PAGE) if block.kind == "python"]
    assert len(examples) == 5
    written = tmp_path / "gallery.parquet"
    examples = [text.replace("gallery.parquet", str(written)) for text in examples]
    printed = run(*examples, CHECKS, "import sys; print('django' in sys.modules)")
    assert printed[0] == "['3', '13', '23', '43', '53', '73', '83']"
    assert printed[2].endswith("(1280,)")
    assert printed[3] == "demo/demo.csv not_a_picture"
    assert printed[-2].endswith(", 1280)")
    assert printed[-1] == "False"
    assert os.path.getsize(written)


def test_every_method_and_option_is_on_the_page() -> None:
    text = PAGE.read_text()
    methods = [name for name in vars(DataCollection) if not name.startswith("_")]
    for base in DataCollection.__bases__:
        methods += [name for name in vars(base) if not name.startswith("_")]
    assert [name for name in methods if not re.search(rf"\.?{name}\(", text)] == []
    options = {
        name
        for _, rows in tables(PAGE)
        for row in rows
        if "option" in row
        for name in re.findall(r"`(\w+)`", row["option"])
    }
    assert options == set(OPTIONS)
