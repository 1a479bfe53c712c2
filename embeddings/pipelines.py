"""Image pipelines: `pipeline(name)` returns an `ImagePipeline` that turns pictures into vectors."""

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import InputError, RecipeError
from embeddings.flow.picture_pipeline import PicturePipeline
from embeddings.operators.chain import build_chain
from embeddings.recipes import DEFAULT_PIPELINE, Recipe, names
from embeddings.recipes import recipe as recipe_named
from embeddings.runtimes.spec import PLACES, FeatureSpec
from embeddings.text.image_text import ImageTextPipeline, image_text_pipeline

Vector = NDArray[np.float32]


class ImagePipeline(PicturePipeline[Vector]):
    """Turns pictures into unit-length float32 vectors, as defined by one recipe.

    Call it with a picture (path, bytes, binary file object, PIL image, uint8 array (H, W, 3))
    for a vector (D,), or with a list of them for an array (N, D); `stream` takes any number in
    constant memory. Programs with threads of their own use the stages `decode`, `prepare` and
    `embed`. Thread-safe.

    Attributes: `recipe`; `fingerprint`, equal for pipelines whose vectors are comparable;
    `runtime`, `precision` and `device`, which compute the vectors and are worth recording;
    `max_batch`, the maximum number of pictures in one forward pass.
    """

    def __init__(
        self,
        recipe: Recipe,
        runtime: str = "auto",
        precision: str | None = None,
        device: str = "cpu",
    ) -> None:
        """Build every operator of the recipe and load the model with `load_network`, which
        explains `runtime`, `precision` and `device`.

        Raises `UnknownName` for an operator that does not exist, `RecipeError` for operators
        that do not form a pipeline, `WeightsError` when the model cannot be loaded, and
        `RuntimeUnavailable` when the runtime, precision or device is not available.
        """
        chain = build_chain(recipe, runtime=runtime, precision=precision, device=device)
        self._model, self._normalizations = chain.model, chain.normalizations
        self._way = runtime, precision, device
        size = self._begin(recipe, chain.decode, chain.transforms)
        self._computed_by(self._model.network(*size))

    def __repr__(self) -> str:
        return f"<ImagePipeline {self.recipe.name} {self.fingerprint[:12]}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the recipe only; the receiving process loads the pipeline once."""
        return _loaded, (self.recipe, self.runtime, self.precision, self.device)

    def __call__(self, pictures: Any) -> Vector:
        """Return the vector (D,) of a picture, or the vectors (N, D) of a list or tuple, in order.

        Raises `ImageError` for the first picture that cannot be used, OSError for a file that
        cannot be read, and `InputError` for objects of another type.
        """
        self._check_given(pictures)
        if not isinstance(pictures, list | tuple):
            vector: Vector = self.embed([self._prepared(pictures)])[0]
            return vector
        vectors = np.empty((len(pictures), self.recipe.dimension), np.float32)
        for place, vector in enumerate(self.stream(pictures)):
            vectors[place] = vector
        return vectors

    def batch(self, pictures: Sequence[Any]) -> Vector:
        """Return vectors (N, D), as a call with a list does. Used by graph pipelines."""
        return self(list(pictures))

    def embed(self, batch: Sequence[NDArray[np.uint8]]) -> Vector:
        """Return vectors, float32 (N, D), of N prepared pictures, `max_batch` per forward pass.

        An empty batch gives an array (0, D). Raises `InputError` for pixels that do not come from
        `prepare`.
        """
        self._check_prepared(batch)
        vectors = np.empty((len(batch), self.recipe.dimension), np.float32)
        for start in range(0, len(batch), self.max_batch):
            chunk = batch[start : start + self.max_batch]
            part = self._model.batch(chunk)
            for normalize in self._normalizations:
                part = normalize(part)
            vectors[start : start + len(chunk)] = part
        return vectors

    def places_spec(self) -> FeatureSpec:
        """Return the spec of the model's last feature map, for pixels from `prepare`.

        Raises `RecipeError` when the model has no such map.
        """
        spec = getattr(self._model, "spec", None)
        if spec is None:
            raise RecipeError(f"The model of {self.recipe.name!r} gives no map of places.")
        pooled: FeatureSpec = spec(*self._shape[-2:])
        return replace(pooled, pooling=PLACES, head=0)

    @property
    def averages_places(self) -> bool:
        """Whether a vector is exactly the mean of the map's positions, scaled to unit length."""
        model = self.recipe.operators[-2]
        parameters = dict(model.parameters)
        return model.name == "image_embedding.timm" and parameters.get("pooling") == "avg"

    def explain(self) -> str:
        """Return a readable list of the operators and their parameters."""
        lines = [
            f"{self.recipe.name}: {self.recipe.dimension} dimensions, "
            f"{self.runtime} {self.precision}, fingerprint {self.fingerprint}"
        ]
        for number, operator in enumerate(self.recipe.operators, 1):
            lines.append(f"{number}. {operator.name} (version {operator.version})")
            for key, value in operator.parameters:
                shown = ", ".join(map(str, value)) if isinstance(value, tuple) else value
                lines.append(f"     {key}: {shown}")
        return "\n".join(lines)

    def with_text(self) -> ImageTextPipeline:
        """Return a pipeline that gives these vectors and text-space vectors from one forward pass.

        It uses the same recipe, runtime, precision and device. Raises `RecipeError` for a model
        without a text space, and what `ImageTextPipeline` raises.
        """
        return image_text_pipeline(self.recipe, *self._way)

    def rows(self, batch: Sequence[NDArray[np.uint8]]) -> Sequence[Vector]:
        # Copies, so that a retained vector does not keep its whole batch in memory.
        return [vector.copy() for vector in self.embed(batch)]


_pipelines: dict[tuple[str, str, str | None, str], ImagePipeline] = {}
_loading = threading.Lock()


def pipeline(
    recipe: str | os.PathLike[str] | Mapping[str, Any] | Recipe = DEFAULT_PIPELINE,
    *,
    runtime: str = "auto",
    precision: str | None = None,
    device: str = "cpu",
) -> ImagePipeline:
    """Return the pipeline of a recipe, loaded once per process and shared.

    `recipe` is a name, a `Recipe`, its dictionary, or the path of a JSON file (a string that
    ends in ".json"). `runtime` is "auto" (the fastest on this machine whose vectors agree with
    torch float32, measured once), "torch", "openvino" or "onnxruntime"; `precision` and `device`
    are those of `embeddings.runtimes.loader.load_network`.

    Call it after a fork, not before. Raises `UnknownName` with the nearest names, `RecipeError`
    for a recipe that cannot be read, and what `ImagePipeline` raises.
    """
    resolved = recipe_of(recipe)
    # Keyed by content and name, so that each pipeline has the recipe that was requested.
    key = (resolved.to_json(), runtime, precision, device)
    with _loading:
        if key not in _pipelines:
            _pipelines[key] = ImagePipeline(resolved, runtime, precision, device)
        return _pipelines[key]


def _loaded(recipe: Recipe, runtime: str, precision: str, device: str) -> ImagePipeline:
    return pipeline(recipe, runtime=runtime, precision=precision, device=device)


def recipe_of(source: str | os.PathLike[str] | Mapping[str, Any] | Recipe) -> Recipe:
    """Return the recipe given by name, as data or as a file; see `pipeline`."""
    if isinstance(source, Recipe):
        return source
    if isinstance(source, Mapping):
        return Recipe.from_dict(source)
    if isinstance(source, str) and (not source.endswith(".json") or source in names()):
        return recipe_named(source)
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            "A recipe is a name, a Recipe, a dictionary or the path of a JSON file; not "
            f"{type(source).__name__}."
        )
    try:
        return Recipe.from_json(Path(source).read_bytes())
    except OSError as error:
        raise RecipeError(f"The recipe {os.fspath(source)} cannot be read: {error}.") from error
