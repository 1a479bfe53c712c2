"""`docs/sharing.md`: its examples do what their comments say, its tables are complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from embeddings.bundle import FORMATS
from embeddings.bundle.manifest import _KEYS
from harness.installation import ROOT
from tests.docs.markdown import blocks, code, run, tables

PAGE = ROOT / "docs" / "sharing.md"

CHECKS = """
assert best == "erase-crab.jpg" and len(bundle) == len(paths) > 3
assert np.array_equal(vectors, bundle.vectors) and list(ids) == bundle.ids
assert np.array_equal(same, vectors) and metadata[0] == {"folder": "demo"}
assert np.array_equal(also, vectors) and list(called) == bundle.ids
assert first["id"] == bundle.ids[0]
assert np.array_equal(np.array(first["vector"], np.float32), vectors[0])
assert nearest[0] == bundle.ids[0] and len(nearest) == 3
assert written.mean_cosine >= 0.9995 and written.least_cosine >= 0.995
assert cosine > 0.999
"""


@pytest.mark.long
def test_the_examples_work_without_the_application(tmp_path: Path) -> None:
    examples = [block.text for block in blocks(PAGE) if block.kind == "python"]
    assert len(examples) == 6
    start = f"from pathlib import Path\nfolder = Path({str(tmp_path)!r})"
    first, *_, django = run(start, *examples, CHECKS, "import sys; print('django' in sys.modules)")
    assert first == "erase-crab.jpg {'folder': 'demo'} Apache-2.0"
    assert django == "False"


def test_every_format_and_its_files_are_in_the_table_and_no_other() -> None:
    rows = [row for _, table in tables(PAGE) for row in table if "format" in row]
    assert {code(row["format"]) for row in rows} == set(FORMATS)
    for row in rows:
        files = [code(one.strip()) for one in row["files"].split(",")]
        assert files == list(FORMATS[code(row["format"])].files)


def test_every_key_of_the_manifest_is_in_the_table_and_no_other() -> None:
    named = "key of `manifest.json`"
    rows = [row for _, table in tables(PAGE) for row in table if named in row]
    assert {code(one.strip()) for row in rows for one in row[named].split(",")} == set(_KEYS)
