"""Pictures with their files and rows, as ingest leaves them; neither Redis nor Milvus is there."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image as Pillow

from harness.installation import ROOT
from searchapp.models import Dataset, Image
from tests.factories import add_image

DEMO = ROOT / "demo"
CAT = DEMO / "explore_farm_animals-cat.jpg"


Add = Callable[..., Image]


@pytest.fixture
def add(dataset: Dataset) -> Add:
    """Add a ready picture with its files; `fields` are those of its row."""

    def make(content: bytes, **fields: Any) -> Image:
        with Pillow.open(io.BytesIO(content)) as opened:
            picture = opened.convert("RGB")
        sides = {"width": picture.width, "height": picture.height}
        return add_image(dataset, content, thumbnails_of=picture, **(sides | fields))

    return make
