"""The classifier names what the demo pictures show."""

from pathlib import Path

import pytest

from embeddings import Pipeline, ops
from embeddings.errors import InputError, RecipeError, UnknownName
from embeddings.models.cards import model_card
from embeddings.operators.bound import BoundOperator
from embeddings.operators.decode.pillow import decode

NAMES = {
    "categorization-volleyball.jpg": "volleyball",
    "erase-red_panda.jpg": "lesser panda",
    "explore_world_animals-koala.jpg": "koala",
    "explore_world_animals-panda.jpg": "giant panda",
    "explore_world_animals-polar_bear.jpg": "ice bear",
}


@pytest.fixture(scope="module")
def classify() -> BoundOperator:
    """Five labels of the default model."""
    return ops.image_classification.timm()


def test_labels_with_probabilities(classify: BoundOperator, demo: list[Path]) -> None:
    images = [decode(demo[0].parent / name).image for name in NAMES]
    results = classify.batch(images)
    for labels, name in zip(results, NAMES.values(), strict=True):
        assert labels[0][0].startswith(name)
        probabilities = [probability for _, probability in labels]
        assert len(labels) == 5
        assert probabilities == sorted(probabilities, reverse=True)
        assert 0.3 < probabilities[0] <= sum(probabilities) <= 1
    alone = classify(images[0])
    assert [label for label, _ in alone] == [label for label, _ in results[0]]
    assert abs(alone[0][1] - results[0][0][1]) < 1e-4


def test_prepared_pixels_and_views(classify: BoundOperator, demo: list[Path]) -> None:
    image = decode(demo[0].parent / "explore_world_animals-panda.jpg").image
    pixels = ops.image_transform.resize_center_crop()(image)
    assert abs(classify(pixels)[0][1] - classify(image)[0][1]) < 1e-6
    views = ops.image_transform.flip()(ops.image_transform.five_crop()(image))
    assert classify(views)[0][0].startswith("giant panda")
    assert classify(image.convert("L"))[0][0].startswith("giant panda")
    with pytest.raises(InputError):
        classify("explore_world_animals-panda.jpg")


def test_recipe(classify: BoundOperator) -> None:
    card = model_card("efficientnet-lite0")
    parameters = dict(classify.recipe.parameters)
    assert parameters["weights_sha256"] == card.sha256
    assert parameters["top"] == 5
    assert ops.image_classification.timm("efficientnet-lite0", 3).recipe != classify.recipe
    graph = Pipeline.input("image").map("image", "labels", classify).output("labels")
    assert Pipeline.from_recipe(graph.recipe).fingerprint == graph.fingerprint


def test_what_there_is_not() -> None:
    with pytest.raises(UnknownName) as caught:
        ops.image_classification.timm("efficientnet-light0")
    assert caught.value.nearest[0] == "efficientnet-lite0"
    with pytest.raises(RecipeError, match="1 to 1000"):
        ops.image_classification.timm(top=1001)(None)
