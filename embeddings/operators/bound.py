"""`BoundOperator`: an operator with its arguments, as `ops.task.implementation(...)` returns it."""

import contextlib
import functools
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from embeddings.errors import InputError, RecipeError
from embeddings.operators import registry
from embeddings.operators.multi_view import embed_views
from embeddings.recipes import Operator


class _Loaded:
    """A loaded operator, and the lock that serializes batch calls to it."""

    def __init__(self, implementation: Any) -> None:
        self.implementation = implementation
        self.turn = threading.Lock()


# Equal operators share one loaded model for as long as any of them is in use.
_shared: "weakref.WeakValueDictionary[str, _Loaded]" = weakref.WeakValueDictionary()
_loading = threading.RLock()


class BoundOperator:
    """One operator of a pipeline: callable on one value, or on a list through `batch`.

    Cheap to create: a model is loaded at first use, once for all threads, and shared by all
    operators with the same recipe and the same local parameters. Thread-safe.
    """

    def __init__(
        self, name: str, version: int, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> None:
        """Raises `UnknownName`, `OperatorUnavailable`, `RecipeError`, and what describing the
        operator raises, such as `WeightsError` when the model's weights are missing.
        """
        self.name = name
        self.version = version
        self._arguments = tuple(map(_plain, arguments))
        self._keywords = {key: _plain(value) for key, value in keywords.items()}
        self._described: tuple[Operator, dict[str, Any]] | None = None
        self._loaded: _Loaded | None = None
        self._settle()

    @classmethod
    def from_recipe(
        cls, recipe: Operator, local: Mapping[str, Any] | None = None
    ) -> "BoundOperator":
        """Return the operator that a recipe describes, with its parameters unchanged.

        `local` holds the parameters that are not part of recipes. Raises what the class raises.
        """
        bound = cls.__new__(cls)
        bound.name, bound.version = recipe.name, recipe.version
        bound._arguments, bound._keywords = (), {}
        bound._described = recipe, dict(local or {})
        bound._loaded = None
        bound._settle()
        return bound

    @property
    def recipe(self) -> Operator:
        """Name, version and all parameters that affect the result."""
        return self._description()[0]

    @property
    def local(self) -> dict[str, Any]:
        """The given parameters that are not part of recipes, such as the device."""
        return dict(self._description()[1])

    @property
    def implementation(self) -> Any:
        """The operator's object, loaded at first access."""
        return self._load().implementation

    @property
    def has_batches(self) -> bool:
        """Whether one call with many values is faster than many calls with one."""
        operator_class = registry.load(Operator.of(self.name, self.version))
        return hasattr(operator_class, "batch") or self._whole_array is not None

    def __call__(self, *values: Any) -> Any:
        """Return the result for one value (or one of each, for several inputs)."""
        if self.has_batches:
            if len(values) != 1:
                raise InputError(f"Operator {self.name} takes one value, not {len(values)}.")
            return self.batch(values)[0]
        return self.implementation(*values)

    def batch(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return the results for many values, in order: an array where each is a vector.

        One call of the operator if it supports batches; callers in several threads take turns
        unless its class is `concurrent`.
        """
        loaded = self._load()
        if not len(values):
            return []
        batch: Callable[[list[Any]], Sequence[Any]] | None
        batch = getattr(loaded.implementation, "batch", None)
        if batch is None and self._whole_array is not None:
            batch = functools.partial(self._whole_array, loaded.implementation)
        if batch is None:
            return [loaded.implementation(value) for value in values]
        free = getattr(loaded.implementation, "concurrent", False)
        with contextlib.nullcontext() if free else loaded.turn:
            results: Sequence[Any] = batch(list(values))
        return results

    def __repr__(self) -> str:
        return f"<operator {self.name} version {self.version}>"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._described is not None:
            return BoundOperator.from_recipe, self._described
        return BoundOperator, (self.name, self.version, self._arguments, self._keywords)

    @property
    def _whole_array(self) -> Callable[[Any, Sequence[Any]], Any] | None:
        """Return how an operator without `batch` is called with many values, by its task."""
        whole: dict[str, Callable[[Any, Sequence[Any]], Any]]
        whole = {"image_embedding": embed_views, "normalize": _on_rows}
        return whole.get(self.name.partition(".")[0])

    def _settle(self) -> None:
        """Validate the arguments now, and create the object if that is free."""
        recipe, _ = self._description()
        if getattr(registry.load(recipe), "light", False):
            self._load()

    def _description(self) -> tuple[Operator, dict[str, Any]]:
        with _loading:
            if self._described is None:
                self._described = registry.describe(
                    self.name, self.version, self._arguments, self._keywords
                )
            return self._described

    def _load(self) -> _Loaded:
        loaded = self._loaded
        if loaded is not None:
            return loaded
        with _loading:
            recipe, local = self._description()
            key = _sharing(recipe, local)
            shared = _shared.get(key) if key is not None else None
            if shared is None:
                shared = _Loaded(registry.build(recipe, local))
                if key is not None:
                    _shared[key] = shared
            self._loaded = shared
            return shared


def _sharing(recipe: Operator, local: Mapping[str, Any]) -> str | None:
    """Return the key under which equal operators share an object; None if it is not shared.

    Local parameters that are not plain values cannot be compared, so they prevent sharing.
    """
    try:
        values = Operator.of(recipe.name, recipe.version, local)
    except RecipeError:
        return None
    return recipe.canonical + values.canonical


def _plain(value: Any) -> Any:
    """Replace numpy numbers in an argument by Python's own."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (list, tuple):
        return tuple(map(_plain, value))
    return value


def _on_rows(normalize: Callable[[Any], Any], vectors: Sequence[Any]) -> Any:
    """Call a normalization with vectors (D,) as one array (N, D)."""
    shapes = {np.shape(vector) for vector in vectors}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1:
        listing = ", ".join(sorted(map(str, shapes)))
        raise InputError(f"Vectors must have one shape (D,); not {listing}.")
    return normalize(np.stack([np.asarray(vector, np.float32) for vector in vectors]))
