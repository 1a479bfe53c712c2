"""`docs/operators.md`: its examples do what their comments say, its table is complete."""

from __future__ import annotations

import subprocess
import sys

from embeddings.operators import registry
from tests.docs.markdown import blocks, code, tables
from tests.installation import ROOT, clean_environment

PAGE = ROOT / "docs" / "operators.md"

CHECKS = """
assert labels[0][0].startswith("giant panda") and len(labels) == 3
assert found and all(path.endswith("panda.jpg") for path, _ in found)
assert "image_classification.timm" in classify.explain()
assert views.fingerprint == again.fingerprint
"""


def test_the_examples_work_without_the_application() -> None:
    examples = [block.text for block in blocks(PAGE) if block.kind == "python"]
    assert len(examples) == 2
    script = "\n".join([*examples, CHECKS, "import sys; print('django' in sys.modules)"])
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    *_, same, django = ran.stdout.splitlines()
    assert (same, django) == ("True", "False")


def test_every_operator_is_in_the_table_and_no_other() -> None:
    named = {code(row["operator"]) for _, rows in tables(PAGE) for row in rows if "operator" in row}
    assert named == set(registry.names())
