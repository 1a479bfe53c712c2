"""What a comparison found, in words."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embeddings.geometry.kinds import Edit, Kind
from searchapp.pages.compare import comparison_drawing
from searchapp.services.compare import text
from searchapp.services.search.verification import GeometrySummary

SIZE = (640, 480)


def geometry(transform: list[list[float]] | None) -> GeometrySummary:
    return GeometrySummary(50, 0.9, transform, False, None, [((0.1, 0.2), (0.3, 0.4))])


def turned(degrees: float, scale: float = 1.0) -> GeometrySummary:
    """Turned about the middle, as shares of the sides of two pictures of 640 × 480."""
    cosine, sine = (scale * of(math.radians(degrees)) for of in (math.cos, math.sin))
    return geometry([[cosine, -sine * 480 / 640, 0.0], [sine * 640 / 480, cosine, 0.0]])


@pytest.mark.parametrize(
    ("edits", "summary", "sentence"),
    [
        ((Edit.CROPPED, Edit.RECOMPRESSED), geometry([[0.7, 0, 0.1], [0, 1, 0]]),
         "An edited copy: cropped to 70 %, recompressed."),
        ((Edit.RESIZED,), geometry([[1, 0, 0], [0, 1, 0]]), "An edited copy: resized."),
        ((Edit.ROTATED,), turned(-10), "An edited copy: rotated by 10°."),
        ((Edit.MIRRORED, Edit.INSIDE), geometry([[-0.5, 0, 0.6], [0, 0.5, 0.2]]),
         "An edited copy: mirrored, inside a larger picture."),
        ((Edit.CROPPED,), geometry(None), "An edited copy: cropped."),
        ((), turned(0), "A copy of the same picture."),
    ],
)  # fmt: skip
def test_copies(edits: tuple[Edit, ...], summary: GeometrySummary, sentence: str) -> None:
    assert text.verdict(Kind.NEAR_DUPLICATE, edits, summary, SIZE, SIZE) == sentence


def test_a_resized_copy_says_how_small_it_is() -> None:
    same = geometry([[1, 0, 0], [0, 1, 0]])
    sentence = text.verdict(Kind.NEAR_DUPLICATE, (Edit.RESIZED,), same, (320, 240), SIZE)
    assert sentence == "An edited copy: resized to 50 %."


NUMBERS = st.one_of(
    st.floats(-3, 3), st.sampled_from([0.0, 1e-9, 1e6, math.inf, -math.inf, math.nan])
)


@given(st.lists(NUMBERS, min_size=6, max_size=6), st.sampled_from(list(Edit)))
def test_no_transform_is_too_wild_to_be_told_and_drawn(numbers: list[float], edit: Edit) -> None:
    summary = geometry([numbers[:3], numbers[3:]])
    assert text.verdict(Kind.NEAR_DUPLICATE, [edit], summary, SIZE, (3, 900)).endswith(".")
    laid = comparison_drawing.laid(summary, SIZE, (3, 900))
    assert "nan" not in f"{laid}"
    assert "inf" not in f"{laid}"
    assert float(laid.width) > 0
