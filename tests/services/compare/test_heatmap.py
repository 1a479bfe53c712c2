"""What each region adds to a score, and where in a picture it lies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from embeddings.heatmaps.feature_map import Places, View, places_of
from embeddings.heatmaps.similarity import overlay, shares
from embeddings.pipelines import ImagePipeline, pipeline
from tests.services.compare.conftest import CAT, DEMO

WHOLE = (View(0, 0, 1, 1),)


def random_places(seed: int, side: int) -> Places:
    rng = np.random.default_rng(seed)
    return Places(rng.normal(size=(side * side, 12)).astype(np.float32), WHOLE, side)


@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 7))
def test_the_shares_sum_to_the_score(seed: int, side: int, other: int) -> None:
    first, second = random_places(seed, side), random_places(seed + 1, other)
    similarity = shares(first, second, averaged=True)
    one, two = first.vectors.mean(axis=0), second.vectors.mean(axis=0)
    cosine = one @ two / (np.linalg.norm(one) * np.linalg.norm(two))
    assert similarity.score == pytest.approx(cosine, abs=1e-4)
    assert similarity.first.sum() == pytest.approx(similarity.score, abs=1e-3)
    assert similarity.second.sum() == pytest.approx(similarity.score, abs=1e-3)


def test_an_overlay_is_strong_where_the_values_are_and_dark_where_nobody_looked() -> None:
    places = Places(np.zeros((4, 3), np.float32), (View(0.25, 0, 0.75, 1),), 2)
    drawn = np.asarray(overlay(np.array([1, 0, 0, 0], np.float32), places, (40, 20), 1.0))
    assert drawn.shape == (20, 40, 4)
    assert drawn[1, 11, 3] > drawn[18, 28, 3]  # what speaks covers more
    assert drawn[1, 11, 0] > 200 > drawn[18, 28, 0]  # yellow, violet
    assert tuple(drawn[10, 2]) == tuple(drawn[10, 37]) == (0, 0, 0, 110)


@pytest.fixture(scope="module")
def torch_pipeline() -> ImagePipeline:
    return pipeline(runtime="torch")


def test_places_explain_the_very_score_of_a_pipeline(torch_pipeline: ImagePipeline) -> None:
    one = Image.open(CAT).convert("RGB")
    two = Image.open(DEMO / "erase-red_panda.jpg").convert("RGB")
    similarity = shares(
        places_of(torch_pipeline, one),
        places_of(torch_pipeline, two),
        averaged=torch_pipeline.averages_places,
    )
    vectors = torch_pipeline([one, two])
    assert similarity.exact
    assert float(similarity.pairs.sum()) == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-4)


def test_a_view_is_where_the_transform_looks(torch_pipeline: ImagePipeline) -> None:
    """The middle square, 0.875 of the short side."""
    (view,) = places_of(torch_pipeline, Image.new("RGB", (1600, 800), "#345")).views
    edges = (view.left, view.top, view.right, view.bottom)
    assert edges == pytest.approx((0.28125, 0.0625, 0.71875, 0.9375), abs=0.01)


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (5000, 2)])
def test_any_picture_has_places(torch_pipeline: ImagePipeline, size: tuple[int, int]) -> None:
    places = places_of(torch_pipeline, Image.new("RGB", size, "#876"))
    drawn = overlay(np.ones(places.side**2, np.float32), places, (64, 64), 1.0)
    assert drawn.size == (64, 64)
    assert np.isfinite(places.vectors).all()
