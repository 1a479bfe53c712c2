"""Where one picture lies in another."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from embeddings.geometry.feature_matching import match
from embeddings.geometry.local_features import LocalFeatures, local_features
from tests.embeddings.geometry.pictures import checkerboard, photograph
from tests.properties import examples

PHOTOGRAPH = photograph(5)
FEATURES = local_features(PHOTOGRAPH)


def test_a_crop_lies_where_it_was_cut_out() -> None:
    width, height = PHOTOGRAPH.size
    box = (round(0.25 * width), round(0.2 * height), round(0.8 * width), round(0.9 * height))
    result = match(local_features(PHOTOGRAPH.crop(box)), FEATURES)
    assert result.outline is not None
    left, top, right, bottom = box[0] / width, box[1] / height, box[2] / width, box[3] / height
    expected = [(left, top), (right, top), (right, bottom), (left, bottom)]
    np.testing.assert_allclose(result.outline, expected, atol=0.01)
    assert result.agreement > 0.95
    assert result.inliers >= 20
    assert result.of_query > 0.97
    assert result.of_other == pytest.approx((right - left) * (bottom - top), abs=0.03)
    assert not result.mirrored


def test_the_transform_leads_from_the_query_to_the_other() -> None:
    result = match(local_features(PHOTOGRAPH.resize((200, 150))), FEATURES)
    np.testing.assert_allclose(np.array(result.transform), [[1, 0, 0], [0, 1, 0]], atol=0.015)


def test_the_transform_is_right_to_a_part_of_a_pixel() -> None:
    """By comparing pixels: the points alone are not that accurate in a picture this small."""
    width, height = PHOTOGRAPH.size
    box = (round(0.2 * width), round(0.1 * height), round(0.8 * width), round(0.7 * height))
    small = PHOTOGRAPH.crop(box).resize((96, round(96 * (box[3] - box[1]) / (box[2] - box[0]))))
    result = match(local_features(small), FEATURES)
    corners = [(box[0], box[1]), (box[2], box[1]), (box[2], box[3]), (box[0], box[3])]
    expected = [(x / width, y / height) for x, y in corners]
    assert result.outline is not None
    np.testing.assert_allclose(np.array(result.outline), np.array(expected), atol=0.0025)


def test_points_to_show_lie_where_the_transform_puts_them() -> None:
    result = match(local_features(PHOTOGRAPH.rotate(15, expand=True)), FEATURES)
    assert 1 <= len(result.keypoints) <= 60
    for here, there in result.keypoints:
        np.testing.assert_allclose(np.array(result.transform) @ [*here, 1], there, atol=0.04)


def test_a_mirror_image() -> None:
    result = match(local_features(PHOTOGRAPH.transpose(Image.Transpose.FLIP_LEFT_RIGHT)), FEATURES)
    assert result.mirrored
    np.testing.assert_allclose(np.array(result.transform), [[-1, 0, 1], [0, 1, 0]], atol=0.01)
    assert result.agreement > 0.95


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns(turns: int) -> None:
    picture = PHOTOGRAPH.rotate(90 * turns, expand=True)
    result = match(local_features(picture), FEATURES)
    assert result.agreement > 0.95
    assert not result.mirrored


def test_other_pictures_do_not_match() -> None:
    features = [local_features(photograph(place)) for place in range(0, 228, 20)]
    pairs = [(one, other) for place, one in enumerate(features) for other in features[:place]]
    assert len(pairs) > 60
    for one, other in pairs:
        result = match(one, other)
        assert result.inliers < 10
        assert result.agreement < 0.7


def test_flat_pictures_are_laid_on_each_other_as_wholes() -> None:
    """A gradient has no points at all."""
    shade = Image.linear_gradient("L").convert("RGB")
    result = match(local_features(shade.resize((100, 100))), local_features(shade))
    assert (result.inliers, result.agreement) == (0, 1.0)
    assert match(local_features(shade.rotate(90)), local_features(shade)).transform is None


def test_nothing_to_see_is_no_match() -> None:
    white = local_features(Image.new("RGB", (300, 200), "white"))
    assert match(white, white).transform is None
    assert match(white, FEATURES).inliers == 0


def test_boards_of_other_squares_do_not_match() -> None:
    result = match(local_features(checkerboard(20)), local_features(checkerboard(27)))
    assert result.agreement < 0.7


def test_what_is_found_can_be_written_as_json() -> None:
    result = match(local_features(PHOTOGRAPH.crop((20, 20, 200, 200))), FEATURES)
    assert json.loads(json.dumps(asdict(result)))["inliers"] == result.inliers


def _strange(kind: int, width: int, height: int, seed: int) -> LocalFeatures:
    chosen = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.uint8)
    if kind == 1:
        pixels = chosen.integers(0, 256, pixels.shape, dtype=np.uint8)
    elif kind == 2:
        pixels[::2] = 255
    elif kind == 3:
        pixels[:] = np.linspace(0, 255, width, dtype=np.uint8)[None, :, None]
    elif kind == 4:
        pixels = np.asarray(PHOTOGRAPH.resize((width, height)))
    return local_features(Image.fromarray(pixels))


strange = st.builds(
    _strange, st.integers(0, 4), st.integers(1, 90), st.integers(1, 90), st.integers(0, 3)
)


@settings(max_examples=examples(60))
@given(strange, strange)
def test_any_two_pictures_can_be_compared(one: LocalFeatures, other: LocalFeatures) -> None:
    result = match(one, other)
    assert 0 <= result.agreement <= 1
    assert 0 <= result.inliers <= min(len(one.points), len(other.points))
    assert 0 <= min(result.of_query, result.of_other) <= max(result.of_query, result.of_other) <= 1
    assert -1.001 <= result.closeness <= 1.001
    assert 0 <= result.textured <= 1
    assert result.drift >= 0
    assert np.isfinite(result.drift)
    assert (result.transform is None) == (result.outline is None)
    assert np.isfinite(result.transform or [[0]]).all()
    assert match(one, other) == result
