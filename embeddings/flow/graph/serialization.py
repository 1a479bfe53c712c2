"""Serialization of graph pipelines: recipe, fingerprint and explanation."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embeddings.errors import RecipeError
from embeddings.flow.graph.steps import (
    Graph,
    Step,
    check_finished,
    is_image_pipeline,
    is_pipeline,
    node_name,
)
from embeddings.operators.bound import BoundOperator
from embeddings.recipes import Operator, Recipe


def to_dict(pipeline: Graph) -> dict[str, Any]:
    """The finished pipeline as plain JSON types.

    Each value has its own name: a column that is overwritten is `name:2`. Raises `RecipeError` when
    a node is a plain function, or when the pipeline has no output yet.
    """
    check_finished(pipeline)
    names: list[str] = []
    for name in pipeline.value_names:
        names.append(_free(name, names))
    used_names = list(names)
    nodes: list[dict[str, Any]] = []
    for step in pipeline.steps:
        if is_image_pipeline(step.node):
            nodes += _chain(
                step.node.recipe.operators, names[step.reads[0]], names[step.writes[0]], used_names
            )
        else:
            nodes.append(_node(step, names))
    return {
        "inputs": list(pipeline.inputs),
        "nodes": nodes,
        "outputs": [names[pipeline.columns[name]] for name in pipeline.outputs or ()],
    }


def graph_of(data: Mapping[str, Any] | Recipe) -> Mapping[str, Any]:
    """The recipe of a graph, also when `data` is a `Recipe` or its dictionary.

    Raises `RecipeError` when such a dictionary is malformed.
    """
    if isinstance(data, Recipe):
        data = data.to_dict()
    if not isinstance(data, Mapping) or "operators" not in data:
        return data
    first, last = "picture", "vector"
    nodes = _chain(Recipe.from_dict(data).operators, first, last, [first, last])
    return {"inputs": [first], "nodes": nodes, "outputs": [last]}


def _chain(
    operators: Sequence[Operator], first: str, last: str, used_names: list[str]
) -> list[dict[str, Any]]:
    """The nodes of operators that lead from one column to another.

    Columns between are named by task. `used_names` are the names in use; the new names are added.
    """
    names = [first]
    for operator in operators[:-1]:
        names.append(_free(operator.name.partition(".")[0], used_names))
        used_names.append(names[-1])
    return [
        {"kind": "map", "inputs": [before], "outputs": [after], "operator": operator.to_dict()}
        for operator, before, after in zip(operators, names, [*names[1:], last], strict=True)
    ]


def _free(name: str, used_names: Sequence[str]) -> str:
    number, free = 1, name
    while free in used_names:
        number += 1
        free = f"{name}:{number}"
    return free


def _node(step: Step, names: Sequence[str]) -> dict[str, Any]:
    node: dict[str, Any] = {"kind": step.kind, "inputs": [names[at] for at in step.reads]}
    if step.kind != "filter":
        node["outputs"] = [names[at] for at in step.writes]
    if step.kind == "window":
        node |= {"size": step.size, "step": step.step}
    if isinstance(step.node, BoundOperator):
        node["operator"] = step.node.recipe.to_dict()
    elif is_pipeline(step.node):
        node["pipeline"] = to_dict(step.node)
    else:
        raise RecipeError(
            f"The function {node_name(step.node)} ({step.label}) is no registered operator, so "
            "that this pipeline has no recipe and no fingerprint. Register it by an entry point "
            "of the group 'embeddings.operators'."
        )
    return node


@dataclass(frozen=True)
class _Value:
    """The digest of how a value is computed, and its operators when they form a chain."""

    digest: str
    chain: tuple[str, ...] | None = None


def fingerprint(data: Mapping[str, Any]) -> str:
    """SHA-256 of how the outputs of a recipe are computed; see `Pipeline.fingerprint`."""
    count = len(data["inputs"])
    inputs = [_Value(_digest(["input", at]), () if count == 1 else None) for at in range(count)]
    rows, outputs = _followed(data, inputs)
    if rows is None and len(outputs) == 1 and outputs[0].chain:
        # Same as `Recipe.fingerprint`: the vectors are comparable.
        return _sha256("[" + ",".join(outputs[0].chain) + "]")
    return _digest(["pipeline", count, rows, [value.digest for value in outputs]])


def _followed(data: Mapping[str, Any], inputs: Sequence[_Value]) -> tuple[str | None, list[_Value]]:
    """The digest of what determines the rows (None: only the inputs), and the outputs."""
    rows: str | None = None
    values = dict(zip(data["inputs"], inputs, strict=True))
    for node in data["nodes"]:
        kind, arguments = node["kind"], [values[name] for name in node["inputs"]]
        inner = node.get("pipeline")
        if kind == "map" and inner is not None and _maps_only(inner):
            _, results = _followed(inner, arguments)
            if len(results) == len(node["outputs"]):
                values |= zip(node["outputs"], results, strict=True)
                continue
        if inner is not None:
            what = fingerprint(inner)
        else:
            item = node["operator"]
            what = Operator.of(item["name"], item["version"], item["parameters"]).canonical
        parts = [kind, what, [value.digest for value in arguments]]
        if kind == "window":
            parts += [rows, node["size"], node["step"]]
        elif kind == "flat_map":
            parts += [rows]
        if kind != "map":
            rows = _digest(["rows", rows, *parts])
        chain = None
        if kind == "map" and inner is None and len(arguments) == len(node["outputs"]) == 1:
            before = arguments[0].chain
            chain = None if before is None else (*before, what)
        for at, name in enumerate(node.get("outputs", ())):
            values[name] = _Value(_digest([*parts, at, len(node["outputs"])]), chain)
    return rows, [values[name] for name in data["outputs"]]


def _maps_only(data: Mapping[str, Any]) -> bool:
    return all(node["kind"] == "map" for node in data["nodes"])


def _digest(parts: list[Any]) -> str:
    return _sha256(json.dumps(parts, separators=(",", ":"), ensure_ascii=True))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def explain(pipeline: Graph) -> str:
    """A readable list of the steps and their parameters."""
    ends = ", ".join(pipeline.outputs) if pipeline.outputs else "(no output yet)"
    try:
        identity = f"fingerprint {fingerprint(to_dict(pipeline))}"
    except RecipeError as error:
        identity = f"no fingerprint: {error.detail}"
    lines = [f"{', '.join(pipeline.inputs)} → {ends}; {identity}"]
    for number, step in enumerate(pipeline.steps, 1):
        lines.append(f"{number}. {step.label}")
        if step.kind == "window":
            lines.append(f"     size: {step.size}, step: {step.step}")
        if isinstance(step.node, BoundOperator):
            operator = step.node.recipe
            lines[-1] += f" (version {operator.version})"
            for key, value in operator.parameters:
                shown = ", ".join(map(str, value)) if isinstance(value, tuple) else value
                lines.append(f"     {key}: {shown}")
        elif is_pipeline(step.node):
            lines += _indented(explain(step.node))
        elif is_image_pipeline(step.node):
            lines += _indented(step.node.explain())
    return "\n".join(lines)


def _indented(text: str) -> list[str]:
    return [f"     {line}" for line in text.splitlines()]
