"""What two pictures are to each other, and what was done to the one."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from embeddings.geometry import Edit, Kind, Verdict, judge, match
from embeddings.geometry.local_features import local_features
from harness.edits import EDITS, edited
from tests.embeddings.geometry.pictures import (
    in_ornate_border,
    named,
    page_of_text,
    photograph,
    photographed_again,
    watermarked,
)

PLACES = (5, 20, 60, 130)
MADE = {
    "crop": {Edit.CROPPED},
    "160 px": {Edit.RESIZED},
    "JPEG 25": {Edit.RECOMPRESSED},
    "mirror": {Edit.MIRRORED},
    "text": {Edit.OVERLAID},
    "colour": {Edit.RECOLOURED},
    "rotate": {Edit.ROTATED},
    "grey": {Edit.RECOLOURED},
    "border": {Edit.CONTAINS},
    "page": {Edit.CONTAINS},
    "all": {Edit.CROPPED, Edit.RECOLOURED, Edit.OVERLAID, Edit.RESIZED, Edit.RECOMPRESSED},
}


def _judged(query: Image.Image, other: Image.Image) -> Verdict:
    first, second = local_features(query), local_features(other)
    return judge(match(first, second), first, second)


@pytest.mark.parametrize("edit", EDITS)
def test_copies_are_named_with_what_was_done(edit: str) -> None:
    for place in PLACES:
        picture = photograph(place)
        expected = MADE[edit] | (
            {Edit.RESIZED} if edit == "page" and picture.width != 320 else set()
        )
        verdict = _judged(edited(picture, edit, place), picture)
        assert verdict.kind == Kind.NEAR_DUPLICATE
        assert set(verdict.edits) == expected
        assert verdict.reason.endswith(".")


@pytest.mark.parametrize(
    ("name", "edit", "place", "done"),
    [
        # Flat pictures: most of what is to be seen was written over them.
        ("categorization-hammer2", "text", 175, {Edit.OVERLAID}),
        ("categorization-hammer8", "all", 181, MADE["all"]),
        # Few points, and those not quite at their places: the pictures themselves are.
        ("categorization-bulb", "all", 215, MADE["all"]),
        ("categorization-tweezer", "border", 207, {Edit.CONTAINS}),
        # Colours, and pages, in which much is white before and after.
        ("categorization-measuringTape1", "grey", 183, {Edit.RECOLOURED}),
        ("categorization-hammer2", "page", 175, {Edit.CONTAINS}),
    ],
)
def test_hard_copies(name: str, edit: str, place: int, done: set[Edit]) -> None:
    picture = named(name)
    verdict = _judged(edited(picture, edit, place), picture)
    assert verdict.kind == Kind.NEAR_DUPLICATE
    assert set(verdict.edits) == done


@pytest.mark.parametrize("place", [5, 20])
def test_a_photograph_from_a_place_a_little_beside_is_no_copy(place: int) -> None:
    """All its points are found again, and all of it looks alike; a crop of it is none either."""
    picture = photograph(place)
    again = photographed_again(picture, 0.008)
    for query in (again, edited(again, "crop", place)):
        verdict = _judged(query, picture)
        assert verdict.kind == Kind.SAME_THING
    assert "where a copy would have it" in verdict.reason


def test_what_is_less_changed_fits_more_closely() -> None:
    picture = photograph(20)
    features = local_features(picture)
    cropped, written = (edited(picture, edit, 20) for edit in ("crop", "text"))
    close, less = (match(local_features(one), features).closeness for one in (cropped, written))
    assert 1 >= close > less > 0.5


def test_the_other_way_round() -> None:
    """The query is the original, the other one its copy."""
    picture = photograph(5)
    for edit, word in (("page", Edit.INSIDE), ("border", Edit.INSIDE), ("crop", Edit.CROPPED)):
        verdict = _judged(picture, edited(picture, edit, 5))
        assert verdict.kind == Kind.NEAR_DUPLICATE
        assert verdict.edits == (word,)


def test_several_edits_are_all_named() -> None:
    picture = photograph(20)
    changed = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((240, 180)).convert("L")
    edits = _judged(changed, picture).edits
    assert edits == (Edit.RESIZED, Edit.MIRRORED, Edit.RECOLOURED)
    turned = picture.transpose(Image.Transpose.ROTATE_90).resize((150, 200))
    assert _judged(turned, picture).edits == (Edit.RESIZED, Edit.ROTATED)


def test_a_picture_that_was_squashed_is_a_copy() -> None:
    picture = photograph(20)
    verdict = _judged(picture.resize((picture.width, round(0.75 * picture.height))), picture)
    assert (verdict.kind, verdict.edits) == (Kind.NEAR_DUPLICATE, (Edit.RESIZED,))


@pytest.mark.parametrize("by", ["bytes", "pixels"])
def test_identical_is_what_the_caller_knows(by: str) -> None:
    features = local_features(photograph(5))
    result = match(features, features)
    verdict = judge(result, features, features, by == "bytes", by == "pixels")
    assert (verdict.kind, verdict.edits) == (Kind.IDENTICAL, ())
    assert by in verdict.reason


def test_saved_again_in_another_quality() -> None:
    picture = photograph(5)
    with io.BytesIO() as file:
        picture.save(file, "JPEG", quality=60)
        again = Image.open(file).convert("RGB")
    assert _judged(again, picture).edits == (Edit.RECOMPRESSED,)


def test_one_thing_added_is_an_overlay() -> None:
    picture = photograph(5)
    changed = picture.copy()
    ImageDraw.Draw(changed).ellipse((100, 60, 150, 110), "purple")
    assert _judged(changed, picture).edits == (Edit.OVERLAID,)
    assert _judged(picture, changed).edits == (Edit.OVERLAID,)


def test_another_photograph_of_one_thing_is_no_copy() -> None:
    """The same object under another angle, elsewhere: its points agree, its surroundings do not."""
    thing, pairs = np.asarray(photograph(20).resize((320, 240))), ((130, 9), (60, 33))
    corners = np.array([[0, 0], [320, 0], [320, 240], [0, 240]], np.float32)
    seen = np.array([[60, 45], [240, 70], [250, 200], [50, 190]], np.float32)
    again = np.array([[90, 60], [270, 55], [262, 210], [80, 190]], np.float32)
    for here, there in pairs:
        shots = []
        for place, view in ((here, seen), (there, again)):
            scene = np.asarray(photograph(place).resize((320, 240))).copy()
            turn = cv2.getPerspectiveTransform(corners, view)
            mask = cv2.warpPerspective(np.full((240, 320), 255, np.uint8), turn, (320, 240)) > 127
            scene[mask] = cv2.warpPerspective(thing, turn, (320, 240))[mask]
            shots.append(Image.fromarray(scene))
        assert _judged(*shots).kind == Kind.SAME_THING


@pytest.mark.parametrize("places", [(5, 9), (20, 33), (40, 41), (60, 70)])
def test_what_many_pictures_bear_does_not_make_them_copies(places: tuple[int, int]) -> None:
    for edit in (in_ornate_border, watermarked):
        one, other = (edit(photograph(place)) for place in places)
        assert _judged(one, other).kind is None


def test_pages_of_other_words_are_no_copies() -> None:
    assert _judged(page_of_text(1), page_of_text(2)).kind is None
    assert _judged(page_of_text(1, "ACME"), page_of_text(2, "ACME")).kind != Kind.NEAR_DUPLICATE
    small = page_of_text(1).resize((450, 600))
    assert _judged(small, page_of_text(1)).kind == Kind.NEAR_DUPLICATE


def test_unrelated_pictures_are_nothing() -> None:
    features = [local_features(photograph(place)) for place in range(3, 228, 18)]
    for place, one in enumerate(features):
        for other in features[:place]:
            assert judge(match(one, other), one, other) == Verdict(None, (), "")


def test_tiny_pictures() -> None:
    tiny = photograph(5).resize((16, 12))
    assert _judged(tiny, tiny).kind in (None, Kind.NEAR_DUPLICATE)
    assert _judged(tiny, photograph(9)).kind is None
    assert _judged(Image.new("RGB", (1, 1)), tiny).kind is None
