"""Local features: what is kept of a picture, as bytes and back."""

import struct
import zlib
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from embeddings.errors import EmbeddingsError, InputError
from embeddings.geometry.local_features import VERSION, LocalFeatures, local_features
from tests.embeddings.geometry.pictures import photograph
from tests.properties import examples

KEPT = local_features(photograph(5)).to_bytes()


def _assert_same(one: LocalFeatures, another: LocalFeatures) -> None:
    assert (one.width, one.height, one.compression) == (
        another.width,
        another.height,
        another.compression,
    )
    for name in ("points", "descriptors", "small"):
        np.testing.assert_array_equal(getattr(one, name), getattr(another, name))


@pytest.mark.parametrize("place", [5, 20, 87, 145])
def test_what_is_read_back_is_what_was_made(place: int) -> None:
    features = local_features(photograph(place))
    read = LocalFeatures.from_bytes(features.to_bytes())
    _assert_same(features, read)
    assert read.to_bytes() == features.to_bytes()
    assert len(features.to_bytes()) <= 20_000


def test_the_same_picture_has_the_same_features() -> None:
    assert local_features(photograph(5)).to_bytes() == KEPT


def test_points_lie_in_the_picture_everywhere() -> None:
    points = local_features(photograph(5)).points
    assert 100 <= len(points) <= 200
    assert ((points[:, :2] >= 0) & (points[:, :2] <= 1)).all()
    assert (points[:, :2].std(axis=0) > 0.15).all()


@pytest.mark.parametrize(
    "size", [(1, 1), (2, 1), (16, 16), (3, 5000), (5000, 3), (1, 20000), (300, 200)]
)
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1"])
def test_every_size_and_mode(size: tuple[int, int], mode: str) -> None:
    features = local_features(Image.new(mode, size))
    assert (features.width, features.height) == size
    _assert_same(LocalFeatures.from_bytes(features.to_bytes()), features)


def test_an_animation_shows_its_first_frame() -> None:
    frames = [photograph(5).quantize(64), photograph(9).quantize(64)]
    still = local_features(frames[0])
    _assert_same(local_features(frames[0].copy()), still)


def test_a_picture_that_was_made_smaller_says_its_full_size() -> None:
    picture = photograph(5)
    reduced = picture.reduce(2)
    features = local_features(reduced, size=picture.size)
    assert (features.width, features.height) == picture.size
    assert features.compression is None
    assert local_features(picture).compression is not None


def test_only_pictures() -> None:
    with pytest.raises(InputError, match="bytes"):
        local_features(b"no picture")  # type: ignore[arg-type]


@given(st.binary(max_size=200))
def test_garbage_is_refused(data: bytes) -> None:
    for some in (data, KEPT[:4] + data, KEPT[:20] + data):
        with pytest.raises(EmbeddingsError):
            LocalFeatures.from_bytes(some)


@given(st.integers(0, len(KEPT) - 1), st.integers(1, 255))
def test_one_wrong_byte_is_noticed(place: int, change: int) -> None:
    wrong = bytearray(KEPT)
    wrong[place] ^= change
    with pytest.raises(EmbeddingsError):
        LocalFeatures.from_bytes(bytes(wrong))


@given(st.integers(0, len(KEPT) - 1))
def test_what_was_cut_off_is_noticed(length: int) -> None:
    with pytest.raises(EmbeddingsError):
        LocalFeatures.from_bytes(KEPT[:length])


@settings(max_examples=examples(60))
@given(st.integers(4, 60), st.binary(min_size=1, max_size=8))
def test_wrong_bytes_with_a_right_check_sum_never_harm(place: int, change: bytes) -> None:
    """Made on purpose: refused, or read as features of the stated bounds."""
    wrong = bytearray(KEPT[:-4])
    wrong[place : place + len(change)] = change
    whole = bytes(wrong) + struct.pack("<I", zlib.crc32(wrong))
    with suppress(EmbeddingsError):
        read = LocalFeatures.from_bytes(whole)
        assert len(read.points) <= 1024
        assert max(read.small.shape) <= 256


def test_a_small_picture_that_is_large_is_refused() -> None:
    features = local_features(photograph(5))
    large = local_features(photograph(9))
    with_other = replace(features, _jpeg=b"\xff\xd8\xff" + features._jpeg[3:40])
    with pytest.raises(EmbeddingsError, match="small picture"):
        LocalFeatures.from_bytes(with_other.to_bytes())
    assert LocalFeatures.from_bytes(replace(features, _jpeg=large._jpeg).to_bytes())


def test_another_version_is_told_apart_from_damage() -> None:
    later = bytearray(KEPT[:-4])
    later[4] = VERSION + 1
    with pytest.raises(EmbeddingsError) as caught:
        LocalFeatures.from_bytes(bytes(later) + struct.pack("<I", zlib.crc32(later)))
    assert caught.value.code == "features_version"
