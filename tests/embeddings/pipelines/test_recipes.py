"""Recipes and their fingerprints."""

import copy
import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embeddings.errors import RecipeError, UnknownName
from embeddings.pipelines import ImagePipeline, pipeline
from embeddings.recipes import DEFAULT_PIPELINE, Operator, Recipe, names, recipe
from tests.embeddings.conftest import EXACT

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = scalars | st.lists(scalars, max_size=4)
parameters = st.dictionaries(st.text(min_size=1, max_size=8), values, max_size=5)
operators = st.builds(Operator.of, st.text(min_size=1, max_size=12), st.integers(0, 9), parameters)
recipes = st.builds(
    Recipe,
    st.text(min_size=1),
    st.lists(operators, min_size=1, max_size=4).map(tuple),
    st.integers(1, 4096),
)


def test_the_default_recipe() -> None:
    default = recipe(DEFAULT_PIPELINE)
    assert recipe() == default
    assert {DEFAULT_PIPELINE, EXACT} <= set(names())
    assert {f"{DEFAULT_PIPELINE}:{variant}" for variant in ("gem", "five-crop")} <= set(names())
    assert "image-embedding-dinov2-vit-s14:gem" not in names()
    assert default.dimension == 1280
    assert [operator.name for operator in default] == [
        "image_decode.pillow",
        "image_transform.resize_center_crop",
        "image_embedding.timm",
        "normalize.l2",
    ]
    # A change here orphans every stored vector: it must be a new name, never a silent change.
    exact = "d1515c51db1003654da5a7052693755e9b25625765f8d4823f174db5122c2482"
    assert recipe(EXACT).fingerprint == exact
    fast = "fdaf70d983752aa18e869907ed9c344b285b7b1caf6d8936f593bfb1bab72e50"
    assert default.fingerprint == fast


@pytest.mark.parametrize("variant", ["gem", "five-crop"])
def test_variants_are_other_vectors(variant: str, exact: ImagePipeline, demo: list[Path]) -> None:
    other = pipeline(f"{DEFAULT_PIPELINE}:{variant}", runtime="torch")
    assert other.fingerprint not in (recipe().fingerprint, exact.fingerprint)
    vectors = other(demo[:3])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    likeness = (vectors * exact(demo[:3])).sum(axis=1)
    assert (likeness > 0.7).all()
    assert (likeness < 0.9999).all()


def test_unknown_names_come_with_the_nearest() -> None:
    with pytest.raises(UnknownName) as caught:
        recipe("image-embedding-efficientnet-lite0:exakt")
    assert caught.value.nearest[0] == EXACT


@given(recipes)
def test_json_round_trip(original: Recipe) -> None:
    again = Recipe.from_json(original.to_json())
    assert again == original
    assert again.fingerprint == original.fingerprint
    assert pickle.loads(pickle.dumps(original)) == original == copy.deepcopy(original)


def _shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shuffled(value[key]) for key in reversed(list(value))}
    return [_shuffled(item) for item in value] if isinstance(value, list) else value


@given(recipes)
def test_key_order_name_and_dimension_do_not_count(original: Recipe) -> None:
    shuffled = Recipe.from_dict(_shuffled(original.to_dict()))
    assert shuffled.fingerprint == original.fingerprint
    assert (
        dataclasses.replace(original, name=original.name + "2").fingerprint == original.fingerprint
    )


@given(recipes, recipes)
def test_fingerprints_are_equal_exactly_when_operators_are(one: Recipe, other: Recipe) -> None:
    assert (one.operators == other.operators) == (one.fingerprint == other.fingerprint)


@given(recipes, st.data())
def test_any_change_of_an_operator_changes_the_fingerprint(original: Recipe, data: Any) -> None:
    at = data.draw(st.integers(0, len(original.operators) - 1))
    old = original.operators[at]
    changes = [
        Operator(old.name + "x", old.version, old.parameters),
        Operator(old.name, old.version + 1, old.parameters),
        Operator.of(old.name, old.version, {**dict(old.parameters), "new": 1, "": 2}),
    ]
    if old.parameters:
        changes.append(Operator(old.name, old.version, old.parameters[1:]))
        (key, value), *rest = old.parameters
        changes.append(Operator(old.name, old.version, ((key, f"{value}!"), *rest)))
    for new in changes:
        operators = (*original.operators[:at], new, *original.operators[at + 1 :])
        assert (
            dataclasses.replace(original, operators=operators).fingerprint != original.fingerprint
        )


def test_every_parameter_of_the_default_recipe_counts() -> None:
    default = recipe()
    seen = {default.fingerprint}
    for at, operator in enumerate(default.operators):
        for key, value in operator.parameters:
            changed = dict(operator.parameters) | {key: "other" if value != "other" else "else"}
            new = Operator.of(operator.name, operator.version, changed)
            operators = (*default.operators[:at], new, *default.operators[at + 1 :])
            seen.add(dataclasses.replace(default, operators=operators).fingerprint)
    assert len(seen) == 1 + sum(len(operator.parameters) for operator in default)


def test_order_of_operators_counts() -> None:
    default = recipe()
    turned = dataclasses.replace(default, operators=default.operators[::-1])
    assert turned.fingerprint != default.fingerprint


def test_whole_floats_are_whole_numbers() -> None:
    """Stores that turn 1.0 into 1 do not orphan an index."""
    assert Operator.of("a", 1, {"x": 1.0}) == Operator.of("a", 1, {"x": 1})
    assert Operator.of("a", 1, {"x": True}) != Operator.of("a", 1, {"x": 1})


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        "{}",
        json.dumps({"name": "x", "dimension": 3, "operators": []}),
        json.dumps({"name": "x", "dimension": 0, "operators": [{"name": "a", "version": 1}]}),
        json.dumps({"name": "x", "dimension": 3, "operators": [{"name": "a", "version": "1"}]}),
        json.dumps({"name": "x", "dimension": 3, "operators": [{"name": 7, "version": 1}]}),
        json.dumps({"name": "x", "dimension": 3, "operators": ["a"]}),
        '{"name": "x", "dimension": 3, "operators": '
        '[{"name": "a", "version": 1, "parameters": {"x": NaN}}]}',
        '{"name": "x", "dimension": 3, "operators": '
        '[{"name": "a", "version": 1, "parameters": {"x": {"y": 1}}}]}',
    ],
)
def test_malformed_recipes_are_refused(text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_json(text)
    assert caught.value.code == "bad_recipe"
