"""The examples of `docs/embeddings.md` do what their comments say."""

from __future__ import annotations

import subprocess
import sys

from tests.docs.markdown import blocks
from tests.installation import ROOT, clean_environment

CHECKS = """
assert vector.shape == (1280,) and str(vector.dtype) == "float32"
assert abs(float(vector @ vector) - 1) < 1e-5
assert vectors.shape == (2, 1280)
assert -1 <= score < 0.9
"""
DJANGO = """
import sys
print('django' in sys.modules)
"""


def test_the_examples_work_without_the_application() -> None:
    first, second = [
        block.text for block in blocks(ROOT / "docs" / "embeddings.md") if block.kind == "python"
    ]
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join([first, CHECKS, second, DJANGO])],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    *explained, mine, django = ran.stdout.splitlines()
    assert "fingerprint" in explained[0]
    assert mine.endswith("(1280,)")
    assert django == "False"
