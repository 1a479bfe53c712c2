"""Boxes: what is taken, what is refused, and that no pixel outside of the picture is cut."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from searchapp.services.errors import Invalid
from searchapp.services.search import Box, parse_box

_share = st.floats(0, 1)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    left, top = draw(st.floats(0, 0.98)), draw(st.floats(0, 0.98))
    width, height = draw(st.floats(0.01, 1 - left)), draw(st.floats(0.01, 1 - top))
    try:
        box = parse_box([left, top, width, height])
    except Invalid:  # rounded away
        assume(False)
    assume(box is not None)
    assert box is not None
    return box


@given(boxes())
def test_the_address_says_the_same_box_again(box: Box) -> None:
    assert parse_box(str(box)) == box
    assert parse_box(list(box.numbers)) == box


@given(boxes(), st.integers(1, 20_000), st.integers(1, 20_000))
def test_pixels_lie_within_the_picture(box: Box, width: int, height: int) -> None:
    left, top, right, bottom = box.pixels(width, height)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert abs((right - left) - box.width * width) <= 2 + 2e-4 * width


@given(
    st.one_of(st.text(max_size=40), st.lists(st.floats() | st.integers() | st.text(), max_size=6))
)
def test_whatever_is_given_is_a_box_or_refused_in_words(given_box: object) -> None:
    refusal, box = "", None
    try:
        box = parse_box(given_box)  # type: ignore[arg-type]
    except Invalid as error:
        refusal = f"{error.code}: {error.detail}"
    assert not refusal or refusal.startswith("invalid_box: A box is four numbers")
    if box is not None:
        assert box.left + box.width <= 1.0001
        assert box.top + box.height <= 1.0001
        assert min(box.width, box.height) >= 0.01


@pytest.mark.parametrize("nothing", [None, "", "0,0,1,1", [0, 0, 1, 1], "0.00001,0,1,1"])
def test_the_whole_picture_is_no_box(nothing: str | None) -> None:
    assert parse_box(nothing) is None


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("1,2", "this one is not"),
        ("0,0,1,1,1", "this one is not"),
        ([True, 0, 1, 1], "this one is not"),
        ("nan,0,1,1", "this one is not"),
        ([0, 0, 10**400, 1], "this one is not"),
        ("-0.1,0,0.5,0.5", "below 0 or above 1"),
        ("0,0,0.5,0.001", "0.01 at least"),
        ("0.6,0,0.5,0.5", "outside of the picture"),
    ],
)
def test_a_wrong_box_is_told_what_would_be_right(wrong: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        parse_box(wrong)
