"""Operator registry: maps `task.implementation` and version of a recipe to a class.

Built-in classes are listed here by module path. Other packages register theirs as entry points of
the group `embeddings.operators` named `task.implementation`, or `task.implementation@2` for
version 2. Both are imported at first use, so that listing names does not import torch. A class is
called with the operator's parameters as keywords.

A class may define:

- `canonical(...)`, a classmethod that turns convenient arguments (a model's name) into the
  complete parameters of a recipe, as a dict;
- `local`, the names of parameters that do not affect the result (where a file is, how it is
  fetched, what computes it): they are not part of recipes and fingerprints. Keywords of these
  names that `canonical` does not accept are passed directly to the class;
- `light = True`: creating an object is free, so it is created at once and wrong arguments fail
  where they are written;
- `concurrent = True`: several threads may call an object at once. Otherwise batch calls are
  serialized;
- `batch(values)`: takes a list of inputs and returns a sequence of as many results. Without it,
  operators of the tasks `image_embedding` and `normalize` are called with a whole array, and
  others with one value at a time.
"""

import contextlib
import functools
import importlib
import inspect
import re
import reprlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from embeddings.errors import EmbeddingsError, OperatorUnavailable, RecipeError, UnknownName
from embeddings.recipes import Operator

GROUP = "embeddings.operators"

_OPERATORS = "embeddings.operators"
_BUILT_IN: dict[str, dict[int, str]] = {
    "image_classification.timm": {1: f"{_OPERATORS}.classify:TimmClassification"},
    "image_decode.opencv": {1: f"{_OPERATORS}.decode.opencv:OpenCvDecode"},
    "image_decode.pillow": {1: f"{_OPERATORS}.decode.pillow:PillowDecode"},
    "image_decode.url": {1: f"{_OPERATORS}.decode.url:UrlDecode"},
    "image_embedding.timm": {1: f"{_OPERATORS}.embed:TimmEmbedding"},
    "image_text_embedding.concepts": {1: f"{_OPERATORS}.image_text:Concepts"},
    "image_text_embedding.joint": {1: f"{_OPERATORS}.image_text:Joint"},
    "image_transform.five_crop": {1: f"{_OPERATORS}.multi_view:FiveCrop"},
    "image_transform.flip": {1: f"{_OPERATORS}.multi_view:Flip"},
    "image_transform.letterbox": {1: f"{_OPERATORS}.transform:Letterbox"},
    "image_transform.resize_center_crop": {1: f"{_OPERATORS}.transform:ResizeCenterCrop"},
    "image_transform.squash": {1: f"{_OPERATORS}.transform:Squash"},
    "normalize.l2": {1: f"{_OPERATORS}.normalize:L2"},
    "normalize.pca_whitening": {1: f"{_OPERATORS}.whitening:PcaWhitening"},
    "normalize.power": {1: f"{_OPERATORS}.normalize:Power"},
    "text_embedding.clip": {1: f"{_OPERATORS}.embed_text:ClipText"},
    "text_embedding.minilm": {1: f"{_OPERATORS}.embed_text:MiniLMText"},
    "text_embedding.siglip": {1: f"{_OPERATORS}.embed_text:SiglipText"},
}

_NAME = re.compile(r"([a-z]\w*\.[a-z]\w*)(?:@([1-9]\d*))?", re.ASCII)


@dataclass(frozen=True)
class Place:
    """Location of an operator's class: "module:name", and the distribution that provides it.

    `distribution` is None for built-in operators.
    """

    value: str
    distribution: str | None = None


def names() -> tuple[str, ...]:
    """Return the names of all operators, sorted."""
    return tuple(sorted({*_BUILT_IN, *_others()}))


def newest(name: str) -> int:
    """Return the highest version of an operator. Raises `UnknownName`."""
    return max(_versions(name))


def find(operator: Operator) -> Place:
    """Return the location of the class of `operator`.

    Raises `UnknownName` for a name or version that is not registered, and
    `OperatorUnavailable` when two distributions claim it.
    """
    versions = _versions(operator.name)
    places = versions.get(operator.version)
    if places is None:
        known = [f"{operator.name} version {version}" for version in versions]
        raise UnknownName("operator", f"{operator.name} version {operator.version}", known)
    if len(places) > 1:
        claimed = " and ".join(str(place.distribution) for place in places)
        raise OperatorUnavailable(
            f"Operator {operator.name} version {operator.version} is claimed by {claimed}; "
            "uninstall all but one of them."
        )
    return places[0]


def load(operator: Operator) -> Callable[..., Any]:
    """Import and return the class of `operator`, without checking its parameters.

    Raises what `find` raises, and `OperatorUnavailable`, naming the distribution, when
    another package's operator cannot be imported.
    """
    place = find(operator)
    if place.distribution is None:
        module, _, attribute = place.value.partition(":")
        loaded: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
        return loaded
    try:
        loaded = EntryPoint(operator.name, place.value, GROUP).load()
    except Exception as error:  # another package's import may fail in any way
        raise OperatorUnavailable(
            f"Operator {operator.name} comes with the package {place.distribution}, where "
            f"{place.value!r} cannot be loaded: {type(error).__name__}: {error}."
        ) from error
    if not callable(loaded):
        raise OperatorUnavailable(
            f"Operator {operator.name} comes with the package {place.distribution}, where "
            f"{place.value!r} is no class: {loaded!r}."
        )
    return loaded


def build(operator: Operator, local: Mapping[str, Any] | None = None) -> Any:
    """Create the object that runs `operator`; `local` are the parameters not in recipes.

    Raises what `load` raises, and `RecipeError` for unknown, missing or redundant parameters: a
    recipe relies on no defaults, and the same computation has exactly one recipe.
    """
    make = load(operator)
    recorded, extra = dict(operator.parameters), dict(local or {})
    shown = ", ".join(f"{key} = {reprlib.repr(value)}" for key, value in recorded.items())
    with _refusing(operator.name, f"these parameters ({shown})"):
        bound = inspect.signature(make).bind(**{**recorded, **extra})
    bound.apply_defaults()
    local_names = _local_names(make)
    complete = set(_flat(bound)) - local_names
    for wrong, keys in (
        ("must leave out what is local:", set(recorded) & local_names),
        ("must hold what is not local:", set(extra) - local_names),
        ("must leave out what is at its default:", _needless(make, recorded)),
        # In a class with `canonical`, that alone decides what a complete recipe holds.
        ("lacks", set() if hasattr(make, "canonical") else complete - set(recorded)),
    ):
        if keys:
            raise RecipeError(
                f"The recipe of operator {operator.name} {wrong} {', '.join(sorted(keys))}."
            )
    with _refusing(operator.name, f"these parameters ({shown})"):
        return make(**recorded, **extra)


def describe(
    name: str, version: int, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
) -> tuple[Operator, dict[str, Any]]:
    """Return the recipe's operator for a call with these arguments, and the local parameters.

    Positional arguments are those of `canonical` if the class has it, else those of the class
    itself; defaults are filled in. Local parameters that `canonical` does not accept bypass it.
    Raises what `load` raises, and `RecipeError` for arguments that the operator does not accept.
    """
    make = load(Operator.of(name, version))
    canonical = getattr(make, "canonical", None)
    signature = inspect.signature(make if canonical is None else canonical)
    past = {
        key: value
        for key, value in keywords.items()
        if key in _local_names(make) - set(signature.parameters)
    }
    others = {key: value for key, value in keywords.items() if key not in past}
    with _refusing(name, "these arguments"):
        bound = signature.bind(*arguments, **others)
        if canonical is None:
            bound.apply_defaults()
            parameters = _flat(bound)
        else:
            parameters = dict(canonical(*arguments, **others))
    parameters |= past
    local = {key: parameters.pop(key) for key in _local_names(make) if key in parameters}
    return Operator.of(name, version, parameters), local


@contextlib.contextmanager
def _refusing(name: str, what: str) -> Iterator[None]:
    """Turn exceptions caused by unchecked values into a `RecipeError`."""
    try:
        yield
    except EmbeddingsError:
        raise
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise RecipeError(f"Operator {name} does not take {what}: {error}.") from error


def _needless(make: Any, recorded: Mapping[str, Any]) -> set[str]:
    """Return the parameters at their defaults that `canonical` omits, if it can tell."""
    if not hasattr(make, "canonical"):
        return set()
    signature = inspect.signature(make.canonical)
    defaults = {key: one.default for key, one in inspect.signature(make).parameters.items()}
    same = {
        key: value
        for key, value in recorded.items()
        if key in signature.parameters and value == defaults.get(key, inspect.Parameter.empty)
    }
    try:
        signature.bind(**same)
    except TypeError:  # it requires arguments that recipes lack, such as a model's name
        return set()
    return set(same) - set(make.canonical(**same)) if same else set()


def _flat(bound: inspect.BoundArguments) -> dict[str, Any]:
    """Return arguments by name, including those of **keywords."""
    flat: dict[str, Any] = {}
    for key, value in bound.arguments.items():
        if bound.signature.parameters[key].kind is inspect.Parameter.VAR_KEYWORD:
            flat |= value
        else:
            flat[key] = value
    return flat


def _local_names(make: Any) -> frozenset[str]:
    return frozenset(getattr(make, "local", ()))


def _versions(name: str) -> Mapping[int, list[Place]]:
    """Return the locations of each version of an operator. Raises `UnknownName`."""
    if name in _BUILT_IN:
        return {version: [Place(value)] for version, value in _BUILT_IN[name].items()}
    others = _others()
    if name not in others:
        raise UnknownName("operator", name, {*_BUILT_IN, *others})
    return others[name]


def _others() -> Mapping[str, dict[int, list[Place]]]:
    """Return other packages' operators: name to version to locations."""
    return _scan(tuple(sys.path))


@functools.lru_cache(maxsize=4)
def _scan(path: tuple[str, ...]) -> Mapping[str, dict[int, list[Place]]]:
    """Read the entry points of all installed packages, once per state of `sys.path`.

    Ignores names that are not `task.implementation`, and names of built-in operators.
    """
    registered: dict[str, dict[int, list[Place]]] = {}
    for point in entry_points(group=GROUP):
        match = _NAME.fullmatch(point.name)
        if match is None or match[1] in _BUILT_IN:
            continue
        distribution = point.dist.name if point.dist is not None else "(unknown)"
        places = registered.setdefault(match[1], {}).setdefault(int(match[2] or 1), [])
        place = Place(point.value, distribution)
        if place not in places:
            places.append(place)
    return registered
