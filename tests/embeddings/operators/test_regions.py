"""Regions: within the picture, on what stands out, and none where nothing does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from embeddings.errors import InputError
from embeddings.operators.regions import regions
from tests.properties import examples


@settings(max_examples=examples(25))
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**31))
def test_boxes_lie_within_any_picture(width: int, height: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    boxes = regions(picture)
    assert len(boxes) <= 4
    for left, top, across, down in boxes:
        assert 0 <= left < left + across <= 1.0002
        assert 0 <= top < top + down <= 1.0002
        assert across * down < 0.62


@pytest.mark.parametrize("place", [(100, 60), (420, 240), (250, 150)])
def test_a_thing_on_a_plain_ground_is_found(place: tuple[int, int]) -> None:
    picture = Image.new("RGB", (640, 420), (150, 160, 150))
    left, top = place
    ImageDraw.Draw(picture).ellipse([left, top, left + 120, top + 110], fill=(190, 30, 40))
    x, y, across, down = regions(picture)[0]
    assert x * 640 <= left + 20
    assert y * 420 <= top + 20
    assert (x + across) * 640 >= left + 100
    assert (y + down) * 420 >= top + 90
    assert across * down < 0.3


@pytest.mark.parametrize("size", [(400, 300), (1000, 12), (16, 16)])
def test_a_plain_picture_has_none(size: tuple[int, int]) -> None:
    assert regions(Image.new("RGB", size, (80, 120, 160))) == []


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(InputError, match="PIL image"):
        regions(b"bytes")  # type: ignore[arg-type]
