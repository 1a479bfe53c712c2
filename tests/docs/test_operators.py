"""`docs/operators.md`: its examples do what their comments say, its table is complete."""

from __future__ import annotations

import pytest

from embeddings.operators import registry
from harness.installation import ROOT
from tests.docs.markdown import blocks, code, run, tables

PAGE = ROOT / "docs" / "operators.md"

CHECKS = """
assert labels[0][0].startswith("giant panda") and len(labels) == 3
assert found and all(path.endswith("panda.jpg") for path, _ in found)
assert "image_classification.timm" in classify.explain()
assert views.fingerprint == again.fingerprint
"""


@pytest.mark.long
def test_the_examples_work_without_the_application() -> None:
    examples = [block.text for block in blocks(PAGE) if block.kind == "python"]
    assert len(examples) == 2
    printed = run(*examples, CHECKS, "import sys; print('django' in sys.modules)")
    *_, same, django = printed
    assert (same, django) == ("True", "False")


def test_every_operator_is_in_the_table_and_no_other() -> None:
    named = {code(row["operator"]) for _, rows in tables(PAGE) for row in rows if "operator" in row}
    assert named == set(registry.names())
