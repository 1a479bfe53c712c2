"""The shared pipeline and the demo pictures."""

from pathlib import Path

import pytest

from embeddings.pipelines import ImagePipeline, pipeline
from harness.installation import ROOT

EXACT = "image-embedding-efficientnet-lite0:exact"
DEMO = ROOT / "demo"


@pytest.fixture(scope="session")
def demo() -> list[Path]:
    """The 228 demo photographs."""
    return sorted(DEMO.glob("*.jpg"))


@pytest.fixture(scope="session")
def exact() -> ImagePipeline:
    """The reference: every pixel decoded, torch in float32; loaded once for all tests."""
    return pipeline(EXACT, runtime="torch")
