"""`docs/text.md`: its examples do what their comments say, its table of towers is the code's."""

from __future__ import annotations

import pytest

from embeddings.models.cards import model_card
from embeddings.recipes import names
from embeddings.text.tower_files import REPOSITORIES
from harness.installation import ROOT
from tests.docs.markdown import blocks, code, run, tables

PAGE = ROOT / "docs" / "text.md"

CHECKS = """
assert pictures.shape == (3, 384) and scores.shape == (3,)
assert encoder.approximate
assert vector.shape == (1280,) and text_vector.shape == (384,)
"""


@pytest.mark.long
def test_the_examples_work_without_the_application() -> None:
    first, second = [block.text for block in blocks(PAGE) if block.kind == "python"]
    best_file, exactness, shapes, recipes, django = run(
        first, second, CHECKS, "import sys; print('django' in sys.modules)"
    )
    assert best_file == "demo/categorization-hammer1.jpg"
    assert exactness.startswith("True Approximate:")
    assert shapes == "(2, 1280) (2, 384)"
    assert recipes.split() == [
        "image-embedding-efficientnet-lite0",
        "image-embedding-efficientnet-lite0:concepts",
    ]
    assert django == "False"


def test_the_towers_are_those_of_the_library() -> None:
    rows = [row for _, table in tables(PAGE) for row in table if "text tower" in row]
    listed = {code(row["model"]): code(row["text tower"]) for row in rows}
    assert listed == REPOSITORIES
    assert all(f"image-embedding-{model}:text" in names() for model in listed)
    assert {model_card(model).head_dimension for model in listed} == {512, 768}
