"""Groups of pictures that are there more than once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from embeddings import duplicates
from embeddings.duplicates import groups
from embeddings.errors import InputError


def unit(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    array = np.array(rows, np.float32)
    scaled: NDArray[np.float32] = array / np.linalg.norm(array, axis=1, keepdims=True)
    return scaled


def test_each_duplicate_is_like_the_one_that_is_kept() -> None:
    """A chain: the ends are like the middle, and not like each other."""
    vectors = unit((1, 0), (1, 0.2), (1, 0.4), (0, 1))
    (group,) = groups(vectors, 0.97, weights=[1, 2, 1, 9])
    assert group.keep == 1
    assert [one.at for one in group.duplicates] == [2, 0]
    assert all(one.score >= 0.97 and not one.identical for one in group.duplicates)
    # From its end, the chain's other end is a picture of its own.
    (group,) = groups(vectors, 0.97)
    assert (group.keep, [one.at for one in group.duplicates]) == (0, [1])


def test_equal_bytes_are_duplicates_whatever_the_vectors_say() -> None:
    vectors = unit((1, 0), (0, 1), (1, 0.01))
    (group,) = groups(vectors, 0.9, digests=["a", "a", "b"])
    assert [(one.at, one.identical) for one in group.duplicates] == [(1, True), (2, False)]


def test_nothing_to_find() -> None:
    assert list(groups(unit((1, 0), (0, 1)))) == []
    assert list(groups(np.empty((0, 3), np.float32))) == []


@pytest.mark.parametrize("threshold", [0, -1, 1.01, float("nan")])
def test_a_wrong_threshold(threshold: float) -> None:
    with pytest.raises(InputError, match="threshold"):
        next(groups(unit((1, 0)), threshold))


def test_wrong_vectors() -> None:
    wrongs: tuple[Any, ...] = (np.zeros(3, np.float32), np.zeros((2, 3)))
    for wrong in wrongs:
        with pytest.raises(InputError, match="float32"):
            next(groups(wrong))
    with pytest.raises(InputError, match="weight"):
        next(groups(unit((1, 0)), weights=[1, 2]))
    with pytest.raises(InputError, match="digest"):
        next(groups(unit((1, 0)), digests=[]))


@given(
    st.lists(st.tuples(*[st.integers(-2, 2)] * 3).filter(any), max_size=12),
    st.sampled_from([0.4567, 0.8765, 1.0 - 1e-6]),
    st.integers(1, 5),
)
def test_as_one_would_do_it_by_hand(
    rows: list[tuple[int, ...]], threshold: float, block: int
) -> None:
    vectors = unit(*rows) if rows else np.empty((0, 3), np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK", block * max(1, len(rows)))
        result = {
            one.keep: sorted(d.at for d in one.duplicates) for one in groups(vectors, threshold)
        }
    expected, members = {}, set()
    for at in range(len(rows)):
        if at in members:
            continue
        others = [
            other
            for other in range(at + 1, len(rows))
            if other not in members and vectors[at] @ vectors[other] >= threshold
        ]
        members.update(others)
        if others:
            expected[at] = others
    assert result == expected
