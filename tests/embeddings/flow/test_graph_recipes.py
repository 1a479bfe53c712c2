"""Recipes and fingerprints of graph pipelines."""

import copy
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embeddings import Pipeline, ops, recipe
from embeddings.errors import RecipeError, UnknownName
from embeddings.flow.graph.serialization import fingerprint
from embeddings.flow.graph.steps import node_name
from embeddings.operators.bound import BoundOperator
from embeddings.pipelines import ImagePipeline
from tests.embeddings.pictures import encode, scene

# Operators on arrays and pictures that need no weights, by what they take and give.
normalizers: st.SearchStrategy[tuple[str, dict[str, Any]]] = st.one_of(
    st.just(("l2", {})),
    st.builds(lambda alpha: ("power", {"alpha": alpha}), st.floats(0.1, 1)),
)


def vectors(chain: list[tuple[str, dict[str, Any]]], names: list[str]) -> Pipeline:
    """A chain of normalizations through columns of these names."""
    graph = Pipeline.input(names[0])
    for (name, parameters), before, after in zip(chain, names, names[1:], strict=False):
        graph = graph.map(before, after, getattr(ops.normalize, name)(**parameters))
    return graph.output(names[len(chain)])


def full() -> Pipeline:
    """Every kind of node, and nothing that the outputs do not need."""
    squashed = (
        Pipeline.input("i")
        .map("i", "pixels", ops.image_transform.squash(32))
        .map("pixels", "both", ops.image_transform.flip())
        .output("both")
    )
    return (
        Pipeline.input("data")
        .map("data", "image", ops.image_decode.pillow())
        .map("image", "whole", squashed)
        .flat_map("image", "view", ops.image_transform.five_crop(32))
        .filter("view", ops.image_transform.flip())
        .window("view", "views", 2, 1, Pipeline.input("x").output("x"))
        .output("whole", "views")
    )


@given(st.lists(normalizers, min_size=1, max_size=4))
def test_names_of_columns_do_not_count(chain: list[tuple[str, dict[str, Any]]]) -> None:
    one = vectors(chain, [f"v{at}" for at in range(9)])
    same = vectors(chain, ["x"] * 9)
    assert one.fingerprint == same.fingerprint
    again = Pipeline.from_recipe(json.loads(json.dumps(same.recipe)))
    assert again.fingerprint == one.fingerprint
    assert again.recipe == same.recipe
    value = np.array([3, -4], np.float32)
    assert np.array_equal(again(value), one(value))


@given(st.lists(normalizers, min_size=1, max_size=3), st.lists(normalizers, min_size=1, max_size=3))
def test_fingerprints_are_equal_exactly_when_the_chains_are(
    one: list[tuple[str, dict[str, Any]]], other: list[tuple[str, dict[str, Any]]]
) -> None:
    names = [f"v{at}" for at in range(9)]
    first, second = vectors(one, names), vectors(other, names)
    assert (one == other) == (first.fingerprint == second.fingerprint)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the operators' parts and the windows' numbers are in a recipe."""
    paths = []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if isinstance(item, dict | list):
            paths += _paths(item, (*path, key))
        elif "inputs" not in path and "outputs" not in path:
            paths.append((*path, key))
    return paths


def _changed(data: Any, path: tuple[Any, ...]) -> Any:
    data = copy.deepcopy(data)
    place = data
    for key in path[:-1]:
        place = place[key]
    old = place[path[-1]]
    changes: dict[Any, Any] = {"map": "flat_map", "flat_map": "map", "window": "map"}
    if isinstance(old, bool):
        place[path[-1]] = not old
    elif isinstance(old, int | float):
        place[path[-1]] = old + 1
    else:
        place[path[-1]] = changes.get(old, old + "x")
    return data


def test_any_change_of_a_recipe_changes_the_fingerprint() -> None:
    data = full().recipe
    paths = _paths(data)
    assert len(paths) > 20
    fingerprints = {fingerprint(_changed(data, path)) for path in paths}
    assert len(fingerprints | {fingerprint(data)}) == len(paths) + 1


def _shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shuffled(value[key]) for key in reversed(list(value))}
    return [_shuffled(item) for item in value] if isinstance(value, list) else value


def test_the_order_of_keys_does_not_count() -> None:
    data = full().recipe
    assert json.dumps(_shuffled(data)) != json.dumps(data)
    assert Pipeline.from_recipe(_shuffled(data)).fingerprint == full().fingerprint


def test_round_trip_of_every_kind_of_node() -> None:
    graph = full()
    again = Pipeline.from_recipe(json.loads(json.dumps(graph.recipe)))
    assert again.recipe == graph.recipe
    assert again.fingerprint == graph.fingerprint


def test_wiring_counts() -> None:
    base = Pipeline.input("a", "b").map("a", "x", ops.normalize.l2())
    fingerprints = {
        graph.fingerprint
        for graph in (
            base.output("x"),
            base.output("a"),
            base.output("b"),
            base.output("x", "a"),
            base.output("a", "x"),
            base.map("x", "y", ops.normalize.l2()).output("y"),
            base.map("b", "y", ops.normalize.l2()).output("y"),
            base.flat_map("b", "y", ops.normalize.l2()).output("x"),
            base.filter("b", ops.normalize.l2()).output("x"),
            base.window("b", "y", 1, 1, ops.normalize.l2()).output("x"),
            base.window("b", "y", 2, 1, ops.normalize.l2()).output("x"),
            base.window("b", "y", 1, 2, ops.normalize.l2()).output("x"),
        )
    }
    assert len(fingerprints) == 12


def test_what_does_not_decide_the_outputs_does_not_count() -> None:
    l2, power = ops.normalize.l2(), ops.normalize.power()
    base = Pipeline.input("v")
    one = base.map("v", "a", l2).map("v", "b", power).output("a", "b")
    turned = base.map("v", "q", power).map("v", "p", l2).output("p", "q")
    joined = base.map("v", "b", power).concat(base.map("v", "a", l2)).output("a", "b")
    assert one.fingerprint == turned.fingerprint == joined.fingerprint
    assert base.map("v", "w", power).map("v", "a", l2).output("a").fingerprint == (
        base.map("v", "a", l2).output("a").fingerprint
    )
    inner = Pipeline.input("x").map("x", "y", l2).map("y", "z", power).output("z")
    plain = base.map("v", "v", l2).map("v", "v", power).output("v")
    assert base.map("v", "w", inner).output("w").fingerprint == plain.fingerprint


def test_a_chain_has_the_fingerprint_of_its_recipe() -> None:
    graph = Pipeline.input("path")
    for number, operator in enumerate(recipe()):
        before = f"column {number - 1}" if number else "path"
        graph = graph.map(before, f"column {number}", BoundOperator.from_recipe(operator))
    finished = graph.output("column 3")
    assert finished.fingerprint == recipe().fingerprint
    assert finished.recipe["nodes"][2]["operator"] == recipe().operators[2].to_dict()


def test_an_image_pipeline_counts_as_its_operators(exact: ImagePipeline) -> None:
    base = Pipeline.input("image_decode")
    graph = base.map("image_decode", "vector", exact)
    assert graph.output("vector").fingerprint == exact.fingerprint
    chain = Pipeline.from_recipe(graph.output("vector").recipe)
    assert chain.fingerprint == exact.fingerprint
    assert [node_name(step.node) for step in chain.steps] == [one.name for one in exact.recipe]
    # With more around it, and twice, each time as if the chain stood there.
    longer = graph.map("vector", "v", ops.normalize.power()).map("image_decode", "vector", exact)
    operators = [BoundOperator.from_recipe(one) for one in exact.recipe]
    plain = base
    for number, operator in enumerate(operators):
        plain = plain.map(f"c{number}" if number else "image_decode", f"c{number + 1}", operator)
    plain = plain.map("c4", "v", ops.normalize.power())
    assert longer.output("v", "vector").fingerprint == plain.output("v", "c4").fingerprint
    again = Pipeline.from_recipe(json.loads(json.dumps(longer.output("v", "vector").recipe)))
    assert again.recipe == longer.output("v", "vector").recipe
    inner = Pipeline.input("x").map("x", "y", graph.output("vector")).output("y")
    assert inner.fingerprint == exact.fingerprint
    assert "image_transform.resize_center_crop (version 1)" in longer.explain()
    assert exact.fingerprint in longer.explain()


def test_a_recipe_becomes_a_chain() -> None:
    for same in (recipe(), recipe().to_dict(), json.loads(recipe().to_json())):
        chain = Pipeline.from_recipe(same)
        assert (chain.inputs, chain.outputs) == (("picture",), ("vector",))
        assert chain.fingerprint == recipe().fingerprint
        assert [node["operator"] for node in chain.recipe["nodes"]] == recipe().to_dict()[
            "operators"
        ]
    wrongs: list[dict[str, Any]] = [
        {"operators": []},
        {**recipe().to_dict(), "operators": []},
        {**recipe().to_dict(), "operators": [{"name": "normalize.l2"}]},
    ]
    for wrong in wrongs:
        with pytest.raises(RecipeError, match="A recipe"):
            Pipeline.from_recipe(wrong)
    others: list[Any] = [7, ["operators"], {}]
    for other in others:
        with pytest.raises(RecipeError, match="A pipeline's recipe is"):
            Pipeline.from_recipe(other)


def test_columns_that_are_written_again_keep_apart() -> None:
    base = Pipeline.input("v").map("v", "v:2", ops.normalize.power())
    graph = base.map("v", "v", ops.normalize.l2()).map("v", "v", ops.normalize.power())
    finished = graph.output("v", "v:2")
    assert finished.recipe["outputs"] == ["v:4", "v:2"]
    again = Pipeline.from_recipe(finished.recipe)
    assert again.fingerprint == finished.fingerprint
    value = np.array([3, -4], np.float32)
    for ours, theirs in zip(again(value), finished(value), strict=True):
        assert np.array_equal(ours, theirs)


def test_pictures_through_a_recipe_that_was_read_back() -> None:
    graph = (
        Pipeline.input("data")
        .map("data", "image", ops.image_decode.opencv())
        .flat_map("image", "view", ops.image_transform.five_crop(32))
        .window("view", "pairs", 2, 2, Pipeline.input("x").output("x"))
        .output("pairs")
    )
    data = encode(scene(), "png")
    for one, other in zip(graph(data), Pipeline.from_recipe(graph.recipe)(data), strict=True):
        assert np.array_equal(np.stack(one), np.stack(other))


def test_functions_have_no_recipe() -> None:
    def brighten(image: Any) -> Any:
        return image

    graph = Pipeline.input("x").map("x", "y", brighten).output("y")
    with pytest.raises(RecipeError, match="brighten"):
        _ = graph.recipe
    with pytest.raises(RecipeError, match="brighten"):
        _ = graph.fingerprint
    assert "no fingerprint: The function" in graph.explain()
    outer = Pipeline.input("x").map("x", "y", graph).output("y")
    with pytest.raises(RecipeError, match="brighten"):
        _ = outer.fingerprint


def test_explain_tells_every_step_and_parameter() -> None:
    text = full().explain()
    assert full().fingerprint in text
    for words in (
        "1. map data → image: image_decode.pillow (version 1)",
        "background: #ffffff",
        "map pixels → both: image_transform.flip",
        "5. window view → views",
        "size: 2, step: 1",
        "4. filter view: image_transform.flip",
    ):
        assert words in text


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.pop("inputs"),
        lambda data: data.pop("outputs"),
        lambda data: data.update(nodes=["x"]),
        lambda data: data["nodes"][0].pop("kind"),
        lambda data: data["nodes"][0].update(kind="reduce"),
        lambda data: data["nodes"][0].pop("operator"),
        lambda data: data["nodes"][0]["operator"].pop("version"),
        lambda data: data["nodes"][0]["operator"]["parameters"].pop("color"),
        lambda data: data["nodes"][0]["operator"]["parameters"].update(color="none"),
        lambda data: data["nodes"][0]["operator"].update(parameters="color"),
        lambda data: data["nodes"][4].pop("size"),
    ],
)
def test_malformed_recipes_are_refused(change: Any) -> None:
    data = full().recipe
    change(data)
    with pytest.raises(RecipeError):
        Pipeline.from_recipe(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["nodes"][0]["operator"].update(name="image_decode.pilow"),
        lambda data: data["nodes"][0]["operator"].update(version=9),
        lambda data: data["nodes"][0].update(inputs=["dat"]),
    ],
)
def test_recipes_with_unknown_names(change: Any) -> None:
    data = full().recipe
    change(data)
    with pytest.raises(UnknownName) as caught:
        Pipeline.from_recipe(data)
    assert caught.value.nearest
