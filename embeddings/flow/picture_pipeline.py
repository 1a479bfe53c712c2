"""`PicturePipeline`: base class of pipelines that decode, prepare and embed pictures."""

import itertools
import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embeddings import thread_count as process
from embeddings.errors import InputError
from embeddings.operators.decode.pillow import DEFAULT_MAX_PIXELS, Decoded
from embeddings.operators.decode.sources import Source
from embeddings.recipes import Recipe
from embeddings.runtimes.spec import Network, max_batch

Row = TypeVar("Row")

# A thread of `stream` takes the largest batch divided by this: enough for a forward pass, small
# enough to share the work.
_STREAM_PART = 4
# Chunks in flight per thread, finished or not, so that no thread waits for the first.
_AHEAD = 3


class PicturePipeline(ABC, Generic[Row]):
    """Decodes and prepares pictures, and computes a `Row` for each, according to one recipe.

    A subclass calls `_begin` and `_computed_by` when it is created, and defines what a row is.
    Thread-safe.
    """

    recipe: Recipe
    fingerprint: str
    runtime: str
    precision: str
    device: str
    max_batch: int
    _decode: Any
    _transforms: Sequence[Any]
    _shape: tuple[int, ...]

    def _begin(self, recipe: Recipe, decode: Any, transforms: Sequence[Any]) -> tuple[int, int]:
        """Set decoder and transforms; return height and width of the pixels for the model."""
        self.recipe, self.fingerprint = recipe, recipe.fingerprint
        self._decode, self._transforms = decode, transforms
        # The output shape of the transforms determines the network.
        self._shape = self.prepare(Image.new("RGB", (8, 8))).shape
        return self._shape[-2], self._shape[-1]

    def _computed_by(self, network: Network) -> None:
        """Set runtime, precision, device and batch limit from the network."""
        self.runtime, self.precision = network.runtime, network.precision
        self.device, self.max_batch = network.device, max_batch(network.device)

    def _check_given(self, pictures: Any) -> None:
        """Raises `InputError` when given an iterator, which only `stream` accepts."""
        if isinstance(pictures, Iterator) and not hasattr(pictures, "read"):
            raise InputError("A pipeline takes a picture or a list; for an iterator use stream().")

    @abstractmethod
    def rows(self, batch: Sequence[NDArray[np.uint8]]) -> Sequence[Row]:
        """A row for each prepared picture. Raises what computing them raises."""

    def stream(self, pictures: Iterable[Any], workers: int | None = None) -> Iterator[Row]:
        """The row of each picture, in order; memory does not grow with their number.

        Each of `workers` threads (default: all cores) decodes some pictures and runs them through
        the model as one batch, so that decoding and computing share the cores without waiting for
        each other. Pictures are read slightly ahead: in chunks of one, two, four, up to eight (128
        for a GPU), with three chunks for each thread.

        Raises what a call raises, at the place of the picture, and what the iterable raises, after
        the rows of the pictures before.
        """
        if isinstance(pictures, str | bytes | os.PathLike) or not isinstance(pictures, Iterable):
            raise InputError(
                f"A stream takes several pictures, such as a list; not {type(pictures).__name__}."
            )
        workers = process.cores() if workers is None else workers
        if not isinstance(workers, int) or workers < 1:
            raise InputError(f"workers must be 1 or more, not {workers!r}.")
        return self._streamed(pictures, workers)

    def _streamed(self, pictures: Iterable[Any], workers: int) -> Iterator[Row]:
        chunks = _chunked(pictures, self.max_batch // _STREAM_PART)
        waiting: deque[Future[list[Row | Exception]]] = deque()
        broken: Exception | None = None
        more = True
        with ThreadPoolExecutor(workers, thread_name_prefix="embeddings") as pool:
            try:
                while more or waiting:
                    # Yield finished rows before reading from the iterable, which may be slow.
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

    def decode(self, source: Source, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Decoded:
        """Decode a file by this recipe; see `embeddings.operators.decode.pillow.decode`."""
        decoded: Decoded = self._decode.decode(source, max_pixels=max_pixels)
        return decoded

    def prepare(self, image: Image.Image) -> NDArray[np.uint8]:
        """The input of the model: uint8 (3, H, W), or (V, 3, H, W) for V views; contiguous.

        `image` is a picture from `decode`, or any that Pillow has opened. Can be called from many
        threads at once; Pillow releases the GIL.
        """
        if type(image) is not Image.Image or image.mode != "RGB" or image.info:
            image = self._decode(image)
        pixels: Any = image
        for transform in self._transforms:
            pixels = transform(pixels)
        prepared: NDArray[np.uint8] = pixels
        return prepared

    def _check_prepared(self, batch: Sequence[NDArray[np.uint8]]) -> None:
        for prepared in batch:
            if np.shape(prepared) != self._shape or prepared.dtype != np.uint8:
                raise InputError(
                    f"Prepared pixels are uint8 of shape {self._shape}, as prepare() gives them; "
                    f"not {getattr(prepared, 'dtype', type(prepared).__name__)} of shape "
                    f"{np.shape(prepared)}."
                )

    def _chunk(self, pictures: list[Any]) -> list[Row | Exception]:
        """A row for each picture up to the first failure, then its exception."""
        prepared: list[NDArray[np.uint8]] = []
        failure: Exception | None = None
        for picture in pictures:
            try:
                prepared.append(self._prepared(picture))
            except Exception as error:  # raised again at the picture's place, in the caller
                failure = error
                break
        results: list[Row | Exception] = [*self.rows(prepared)]
        return results if failure is None else [*results, failure]

    def _prepared(self, picture: Any) -> NDArray[np.uint8]:
        return self.prepare(self._decode(picture))


def _chunked(items: Iterable[Any], most: int) -> Iterator[list[Any]]:
    """Chunks of 1, 2, 4, … `most` items: the first does not wait for later items.

    An error of the iterable is raised after the items that came before it.
    """
    iterator, size = iter(items), 1
    while True:
        chunk: list[Any] = []
        try:
            chunk.extend(itertools.islice(iterator, size))  # keeps what came before an error
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
