"""The examples of `docs/embeddings.md` do what their comments say."""

from __future__ import annotations

import pytest

from harness.installation import ROOT
from tests.docs.markdown import blocks, run

CHECKS = """
assert vector.shape == (1280,) and str(vector.dtype) == "float32"
assert abs(float(vector @ vector) - 1) < 1e-5
assert vectors.shape == (2, 1280)
assert -1 <= score < 0.9
"""
COPY = """
assert verdict.kind == Kind.NEAR_DUPLICATE
assert [str(edit) for edit in verdict.edits] == ["cropped", "recoloured"]
assert len(stored) < 20_000 and len(geometry.outline) == 4
"""
DJANGO = """
import sys
print('django' in sys.modules)
"""


@pytest.mark.long
def test_the_examples_work_without_the_application() -> None:
    first, second, geometry = [
        block.text for block in blocks(ROOT / "docs" / "embeddings.md") if block.kind == "python"
    ]
    *explained, mine, django = run(first, CHECKS, second, geometry, COPY, DJANGO)
    assert "fingerprint" in explained[0]
    assert mine.endswith("(1280,)")
    assert django == "False"
