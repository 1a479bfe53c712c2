"""A recipe at work: `pipeline(name)` gives an `ImagePipeline`, pictures to vectors."""

import itertools
import os
import re
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embeddings import runtime as process
from embeddings.errors import InputError, RecipeError
from embeddings.operators import registry
from embeddings.operators.decode import DEFAULT_MAX_PIXELS, Decoded, Source
from embeddings.recipes import DEFAULT_PIPELINE, Recipe, names
from embeddings.recipes import recipe as recipe_named
from embeddings.runtimes.spec import max_batch

# What one thread of `stream` takes at a time is this part of the largest batch: enough for a
# forward pass, little enough to share out.
_STREAM_PART = 4
# So many chunks for each thread are on their way, done or not, so that none waits for the first.
_AHEAD = 3

# One decoder, transforms (the last ones may make views), one model, normalizations.
_TASKS = re.compile("image_decode (image_transform )+image_embedding (normalize )+")


class ImagePipeline:
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
        tasks = [operator.name.partition(".")[0] for operator in recipe.operators]
        # An unknown operator has the more helpful message: it goes first.
        for operator in recipe.operators:
            registry.find(operator)
        if not _TASKS.fullmatch("".join(f"{task} " for task in tasks)):
            raise RecipeError(
                "A pipeline is image_decode, image_transform, image_embedding and normalize, in "
                "this order (transforms and normalizations once or more); the recipe "
                f"{recipe.name!r} has {', '.join(tasks)}."
            )
        if recipe.operators[-1].name != "normalize.l2":
            raise RecipeError(
                "A pipeline gives vectors of unit length: its last operator is normalize.l2, "
                f"not {recipe.operators[-1].name}."
            )
        model = tasks.index("image_embedding")
        way = {"runtime": runtime, "precision": precision, "device": device}
        built = [
            registry.build(operator, way if place == model else None)
            for place, operator in enumerate(recipe.operators)
        ]
        self._decode, *self._transforms = built[:model]
        self._model = built[model]
        self._normalizations = built[model + 1 :]
        if self._model.dimension != recipe.dimension:
            raise RecipeError(
                f"The recipe {recipe.name!r} says {recipe.dimension} dimensions, but its model "
                f"gives {self._model.dimension}."
            )
        self.recipe = recipe
        self.fingerprint = recipe.fingerprint
        # A square of the size that the transform gives says which network is needed.
        self._shape = self.prepare(Image.new("RGB", (8, 8))).shape
        network = self._model.network(*self._shape[-2:])
        self.runtime: str = network.runtime
        self.precision: str = network.precision
        self.device: str = network.device
        self.max_batch = max_batch(device)

    def __repr__(self) -> str:
        return f"<ImagePipeline {self.recipe.name} {self.fingerprint[:12]}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels as its recipe, and is loaded where it arrives, once per process."""
        return _loaded, (self.recipe, self.runtime, self.precision, self.device)

    def __call__(self, pictures: Any) -> NDArray[np.float32]:
        """Vector (D,) of a picture, or vectors (N, D) of a list or tuple of them, in its order.

        Raises `ImageError` for the first picture that cannot be used, OSError for a file that
        cannot be read, `InputError` for what is no picture at all.
        """
        if isinstance(pictures, Iterator) and not hasattr(pictures, "read"):
            raise InputError("A pipeline takes a picture or a list; for an iterator use stream().")
        if not isinstance(pictures, list | tuple):
            vector: NDArray[np.float32] = self.embed([self._prepared(pictures)])[0]
            return vector
        vectors = np.empty((len(pictures), self.recipe.dimension), np.float32)
        for place, vector in enumerate(self.stream(pictures)):
            vectors[place] = vector
        return vectors

    def stream(
        self, pictures: Iterable[Any], workers: int | None = None
    ) -> Iterator[NDArray[np.float32]]:
        """The vector (D,) of each picture, in order; memory does not grow with their number.

        `workers` threads (all cores, unless given) each decode some pictures and run them
        through the model as one batch, so that decoding and computing share the cores without
        waiting for each other. Pictures are taken from the iterable a little ahead of their
        vectors: one, two, four, up to eight (128 for a graphics card) at a time, and three such
        chunks for each thread.

        Raises what a call raises, at the place of the picture, and what the iterable raises,
        after the vectors of the pictures before.
        """
        if isinstance(pictures, str | bytes | os.PathLike) or not isinstance(pictures, Iterable):
            raise InputError(
                f"A stream takes several pictures, such as a list; not {type(pictures).__name__}."
            )
        workers = process.cores() if workers is None else workers
        if not isinstance(workers, int) or workers < 1:
            raise InputError(f"workers must be 1 or more, not {workers!r}.")
        return self._streamed(pictures, workers)

    def _streamed(self, pictures: Iterable[Any], workers: int) -> Iterator[NDArray[np.float32]]:
        chunks = _chunked(pictures, self.max_batch // _STREAM_PART)
        waiting: deque[Future[list[NDArray[np.float32] | Exception]]] = deque()
        broken: Exception | None = None
        more = True
        with ThreadPoolExecutor(workers, thread_name_prefix="embeddings") as pool:
            try:
                while more or waiting:
                    # What is done goes out before the iterable, which may be slow, is asked.
                    while more and len(waiting) < workers * _AHEAD and not _done(waiting):
                        try:
                            waiting.append(pool.submit(self._chunk, next(chunks)))
                        except StopIteration:
                            more = False
                        except Exception as error:  # of the iterable
                            more, broken = False, error
                    for result in waiting.popleft().result() if waiting else ():
                        if isinstance(result, Exception):
                            raise result
                        yield result
            finally:
                for future in waiting:
                    future.cancel()
        if broken is not None:
            raise broken

    def batch(self, pictures: Sequence[Any]) -> NDArray[np.float32]:
        """Vectors (N, D): what a call with a list gives. Graph pipelines ask for it."""
        return self(list(pictures))

    def decode(self, source: Source, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Decoded:
        """Decode a file as this recipe does; see `embeddings.operators.decode.decode`."""
        decoded: Decoded = self._decode.decode(source, max_pixels=max_pixels)
        return decoded

    def prepare(self, image: Image.Image) -> NDArray[np.uint8]:
        """What the model takes: uint8 (3, H, W), or (V, 3, H, W) for V views; contiguous.

        `image` is a picture from `decode`, or any that Pillow has opened. Safe to call from
        many threads at once; Pillow drops the GIL while it works.
        """
        if type(image) is not Image.Image or image.mode != "RGB" or image.info:
            image = self._decode(image)
        pixels: Any = image
        for transform in self._transforms:
            pixels = transform(pixels)
        prepared: NDArray[np.uint8] = pixels
        return prepared

    def embed(self, batch: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Vectors, float32 (N, D), of N prepared pictures; at most `max_batch` a forward pass.

        An empty batch gives an array (0, D). Raises `InputError` for pixels that `prepare` has
        not made.
        """
        for prepared in batch:
            if np.shape(prepared) != self._shape or prepared.dtype != np.uint8:
                raise InputError(
                    f"Prepared pixels are uint8 of shape {self._shape}, as prepare() gives them; "
                    f"not {getattr(prepared, 'dtype', type(prepared).__name__)} of shape "
                    f"{np.shape(prepared)}."
                )
        vectors = np.empty((len(batch), self.recipe.dimension), np.float32)
        for start in range(0, len(batch), self.max_batch):
            chunk = batch[start : start + self.max_batch]
            part = self._model.batch(chunk)
            for normalize in self._normalizations:
                part = normalize(part)
            vectors[start : start + len(chunk)] = part
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

    def _chunk(self, pictures: list[Any]) -> list[NDArray[np.float32] | Exception]:
        """A vector for each picture up to the first that fails, then its exception."""
        prepared: list[NDArray[np.uint8]] = []
        failure: Exception | None = None
        for picture in pictures:
            try:
                prepared.append(self._prepared(picture))
            except Exception as error:  # raised again at the picture's place, in the caller
                failure = error
                break
        results: list[NDArray[np.float32] | Exception] = [*self.embed(prepared)]
        return results if failure is None else [*results, failure]

    def _prepared(self, picture: Any) -> NDArray[np.uint8]:
        return self.prepare(self._decode(picture))


def _chunked(items: Iterable[Any], most: int) -> Iterator[list[Any]]:
    """Chunks of 1, 2, 4, … `most` items: the first is not kept waiting by those behind it.

    What the iterable raises is raised behind the items before.
    """
    taken, size = iter(items), 1
    while True:
        chunk: list[Any] = []
        try:
            chunk.extend(itertools.islice(taken, size))  # keeps what came before an error
        except Exception:
            if chunk:
                yield chunk
            raise
        if not chunk:
            return
        yield chunk
        size = min(2 * size, most)


def _done(waiting: "deque[Future[Any]]") -> bool:
    return bool(waiting) and waiting[0].done()


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
    and `device` are those of `embeddings.runtimes.loading.load_network`.

    Call it after a fork, not before. Raises `UnknownName` with the nearest names, `RecipeError`
    for a recipe that cannot be read, and what `ImagePipeline` raises.
    """
    wanted = _recipe(recipe)
    # By content as well as by name, so that each knows the recipe that was asked for.
    key = (wanted.to_json(), runtime, precision, device)
    with _loading:
        if key not in _pipelines:
            _pipelines[key] = ImagePipeline(wanted, runtime, precision, device)
        return _pipelines[key]


def _loaded(recipe: Recipe, runtime: str, precision: str, device: str) -> ImagePipeline:
    return pipeline(recipe, runtime=runtime, precision=precision, device=device)


def _recipe(given: str | os.PathLike[str] | Mapping[str, Any] | Recipe) -> Recipe:
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
