"""Pipelines: a recipe at work. `pipeline(name)` gives one that turns pictures into vectors."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embeddings.errors import InputError, RecipeError
from embeddings.operators import registry
from embeddings.recipes import DEFAULT_PIPELINE, Recipe
from embeddings.recipes import recipe as recipe_named

# What one forward pass takes at most; more pictures are run in chunks of this size.
MAX_BATCH = 32

_TASKS = ("image_decode", "image_transform", "image_embedding", "normalize")


class Pipeline:
    """Pictures to unit-length float32 vectors, as one recipe says.

    Call it with a picture (path, bytes, binary file object, PIL image, uint8 array (H, W, 3))
    for a vector (D,), or with a list of them for an array (N, D). Workers that decode in
    threads use its two stages, `prepare` and `embed`. All of it is thread-safe.

    Attributes: `recipe`; `fingerprint`, which says what the vectors may be compared with;
    `runtime` and `precision`, which computed them and are worth recording beside them.
    """

    def __init__(self, recipe: Recipe) -> None:
        """Build every operator of the recipe and load the model.

        Raises `UnknownName` for an operator that does not exist, `RecipeError` for operators
        that make no pipeline, `WeightsError` where the model cannot be loaded.
        """
        tasks = tuple(operator.name.partition(".")[0] for operator in recipe.operators)
        # An unknown operator has the more helpful message: it goes first.
        for operator in recipe.operators:
            registry.find(operator)
        if tasks != _TASKS:
            raise RecipeError(
                f"A pipeline is {', '.join(_TASKS)}, in this order; the recipe "
                f"{recipe.name!r} has {', '.join(tasks)}."
            )
        self._decode, self._transform, self._model, self._normalize = (
            registry.build(operator) for operator in recipe.operators
        )
        if self._model.dimension != recipe.dimension:
            raise RecipeError(
                f"The recipe {recipe.name!r} says {recipe.dimension} dimensions, but its model "
                f"gives {self._model.dimension}."
            )
        self.recipe = recipe
        self.fingerprint = recipe.fingerprint
        self.runtime: str = self._model.runtime
        self.precision: str = self._model.precision
        self._one_at_a_time = threading.Lock()

    def __repr__(self) -> str:
        return f"<Pipeline {self.recipe.name} {self.fingerprint[:12]}>"

    def __call__(self, pictures: Any) -> NDArray[np.float32]:
        """Vector (D,) of a picture, or vectors (N, D) of a list or tuple of them, in its order.

        Raises `ImageError` for the first picture that cannot be used, OSError for a file that
        cannot be read, `InputError` for what is no picture at all.
        """
        if not isinstance(pictures, list | tuple):
            vector: NDArray[np.float32] = self.embed([self._prepared(pictures)])[0]
            return vector
        vectors = np.empty((len(pictures), self.recipe.dimension), np.float32)
        for start, chunk in _chunks(pictures):
            # Prepared a chunk at a time, so that memory does not grow with the list.
            vectors[start : start + len(chunk)] = self.embed([self._prepared(x) for x in chunk])
        return vectors

    def prepare(self, image: Image.Image) -> NDArray[np.uint8]:
        """What the model takes: uint8 (3, H, W), contiguous.

        `image` is a picture from `decode`, or any that Pillow has opened. Safe to call from
        many threads at once; Pillow drops the GIL while it works.
        """
        if type(image) is not Image.Image or image.mode != "RGB" or image.info:
            image = self._decode(image)
        pixels: NDArray[np.uint8] = self._transform(image)
        return pixels

    def embed(self, batch: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Vectors, float32 (N, D), of N prepared pictures; at most 32 a forward pass.

        Callers in several threads take turns. An empty batch gives an array (0, D).
        """
        vectors = np.empty((len(batch), self.recipe.dimension), np.float32)
        for start, chunk in _chunks(batch):
            try:
                pixels = np.stack(chunk)
            except ValueError:
                shapes = ", ".join(sorted({str(x.shape) for x in chunk}))
                raise InputError(
                    f"Prepared pictures must have one shape, that of prepare(); not {shapes}."
                ) from None
            with self._one_at_a_time:
                features = self._model(pixels)
            vectors[start : start + len(chunk)] = self._normalize(features)
        return vectors

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

    def _prepared(self, picture: Any) -> NDArray[np.uint8]:
        if isinstance(picture, np.ndarray):
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                raise InputError(
                    "An array must be uint8 of shape (height, width, 3), in RGB order; this one "
                    f"is {picture.dtype} of shape {picture.shape}."
                )
            if 0 in picture.shape:
                raise InputError(f"This array has no pixels: its shape is {picture.shape}.")
            picture = Image.fromarray(np.ascontiguousarray(picture))
        elif not (
            isinstance(picture, str | bytes | bytearray | memoryview | Image.Image)
            or hasattr(picture, "__fspath__")
            or hasattr(picture, "read")
        ):
            raise InputError(
                "A picture must be a path, bytes, a binary file object, a PIL image or a uint8 "
                f"array (height, width, 3), or a list of these; not {type(picture).__name__}."
            )
        return self.prepare(self._decode(picture))


def _chunks(items: Sequence[Any]) -> Iterator[tuple[int, Sequence[Any]]]:
    for start in range(0, len(items), MAX_BATCH):
        yield start, items[start : start + MAX_BATCH]


_pipelines: dict[str, Pipeline] = {}
_loading = threading.Lock()


def pipeline(name_or_recipe: str | Recipe = DEFAULT_PIPELINE) -> Pipeline:
    """The pipeline of that name or recipe, loaded once per process and shared from then on.

    Call it after a fork, not before. Raises `UnknownName` with the nearest names, and what
    `Pipeline` raises.
    """
    recipe = recipe_named(name_or_recipe) if isinstance(name_or_recipe, str) else name_or_recipe
    # By content as well as by name, so that each knows the recipe that was asked for.
    key = recipe.to_json()
    with _loading:
        if key not in _pipelines:
            _pipelines[key] = Pipeline(recipe)
        return _pipelines[key]
