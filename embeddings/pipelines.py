"""A recipe at work: `pipeline(name)` gives an `ImagePipeline`, pictures to vectors."""

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
    """Pictures to unit-length float32 vectors, as one recipe says.

    Call it with a picture (path, bytes, binary file object, PIL image, uint8 array (H, W, 3))
    for a vector (D,), or with a list of them for an array (N, D); `stream` takes any number and
    keeps memory flat. Programs that have threads of their own use its stages: `decode`,
    `prepare` and `embed`. All of it is thread-safe.

    Attributes: `recipe`; `fingerprint`, which says what the vectors may be compared with;
    `runtime`, `precision` and `device`, which compute them and are worth recording beside them;
    `max_batch`, how many pictures one forward pass takes at most.
    """

    def __init__(
        self,
        recipe: Recipe,
        runtime: str = "auto",
        precision: str | None = None,
        device: str = "cpu",
    ) -> None:
        """Build every operator of the recipe and load the model; `load_network` says in which
        runtime, precision and device.

        Raises `UnknownName` for an operator that does not exist, `RecipeError` for operators
        that make no pipeline, `WeightsError` where the model cannot be loaded, and
        `RuntimeUnavailable` where it cannot compute so here.
        """
        chain = build_chain(recipe, runtime=runtime, precision=precision, device=device)
        self._model, self._normalizations = chain.model, chain.normalizations
        self._way = runtime, precision, device
        size = self._begin(recipe, chain.decode, chain.transforms)
        self._computed_by(self._model.network(*size))

    def __repr__(self) -> str:
        return f"<ImagePipeline {self.recipe.name} {self.fingerprint[:12]}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels as its recipe, and is loaded where it arrives, once per process."""
        return _loaded, (self.recipe, self.runtime, self.precision, self.device)

    def __call__(self, pictures: Any) -> Vector:
        """Vector (D,) of a picture, or vectors (N, D) of a list or tuple of them, in its order.

        Raises `ImageError` for the first picture that cannot be used, OSError for a file that
        cannot be read, `InputError` for what is no picture at all.
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
        """Vectors (N, D): what a call with a list gives. Graph pipelines ask for it."""
        return self(list(pictures))

    def embed(self, batch: Sequence[NDArray[np.uint8]]) -> Vector:
        """Vectors, float32 (N, D), of N prepared pictures; at most `max_batch` a forward pass.

        An empty batch gives an array (0, D). Raises `InputError` for pixels that `prepare` has
        not made.
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
        """What gives the places of the model's last map, of pixels as `prepare` makes them.

        Raises `RecipeError` where the model has no such map.
        """
        spec = getattr(self._model, "spec", None)
        if spec is None:
            raise RecipeError(f"The model of {self.recipe.name!r} gives no map of places.")
        pooled: FeatureSpec = spec(*self._shape[-2:])
        return replace(pooled, pooling=PLACES, head=0)

    @property
    def averages_places(self) -> bool:
        """Whether a vector is the mean of the places, scaled to unit length, and nothing else."""
        model = self.recipe.operators[-2]
        parameters = dict(model.parameters)
        return model.name == "image_embedding.timm" and parameters.get("pooling") == "avg"

    def explain(self) -> str:
        """The operators and their parameters, to read."""
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
        """The pipeline that gives these vectors and those beside texts from one forward pass.

        Its recipe, runtime, precision and device are asked for as here. Raises `RecipeError` for
        a model without a space of texts, and what `ImageTextPipeline` raises.
        """
        return image_text_pipeline(self.recipe, *self._way)

    def rows(self, batch: Sequence[NDArray[np.uint8]]) -> Sequence[Vector]:
        # Each an object of its own, so that a kept vector does not keep its batch.
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
    """The pipeline of a recipe, loaded once per process and shared from then on.

    `recipe` is a name, a `Recipe`, its dictionary, or the path of a JSON file that holds it
    (text that ends in ".json"). `runtime` is "auto" (the fastest of this machine whose vectors
    agree with torch float32, measured once), "torch", "openvino" or "onnxruntime"; `precision`
    and `device` are those of `embeddings.runtimes.loader.load_network`.

    Call it after a fork, not before. Raises `UnknownName` with the nearest names, `RecipeError`
    for a recipe that cannot be read, and what `ImagePipeline` raises.
    """
    wanted = recipe_of(recipe)
    # By content as well as by name, so that each knows the recipe that was asked for.
    key = (wanted.to_json(), runtime, precision, device)
    with _loading:
        if key not in _pipelines:
            _pipelines[key] = ImagePipeline(wanted, runtime, precision, device)
        return _pipelines[key]


def _loaded(recipe: Recipe, runtime: str, precision: str, device: str) -> ImagePipeline:
    return pipeline(recipe, runtime=runtime, precision=precision, device=device)


def recipe_of(given: str | os.PathLike[str] | Mapping[str, Any] | Recipe) -> Recipe:
    """The recipe that is named, given as data, or kept in a file; see `pipeline`."""
    if isinstance(given, Recipe):
        return given
    if isinstance(given, Mapping):
        return Recipe.from_dict(given)
    if isinstance(given, str) and (not given.endswith(".json") or given in names()):
        return recipe_named(given)
    if not isinstance(given, str | os.PathLike):
        raise InputError(
            "A recipe is a name, a Recipe, a dictionary or the path of a JSON file; not "
            f"{type(given).__name__}."
        )
    try:
        return Recipe.from_json(Path(given).read_bytes())
    except OSError as error:
        raise RecipeError(f"The recipe {os.fspath(given)} cannot be read: {error}.") from error
