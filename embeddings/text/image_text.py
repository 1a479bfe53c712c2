"""Image-text pipelines: the image vector and the text-space vector of a picture in one pass."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import RecipeError
from embeddings.flow.picture_pipeline import PicturePipeline
from embeddings.operators import registry
from embeddings.operators.chain import build_chain
from embeddings.operators.embed import TimmEmbedding
from embeddings.operators.multi_view import embed_views
from embeddings.operators.normalize import L2
from embeddings.recipes import Recipe, text_recipe
from embeddings.runtimes.loader import check_process, load_network


class ImageText(NamedTuple):
    """The result of `ImageTextPipeline` for a picture, or for N of them, all of unit length.

    `image` float32 (D,) or (N, D), as the plain pipeline returns it; `text` float32 (T,) or (N, T),
    comparable with the vectors of `text_encoder`.
    """

    image: NDArray[np.float32]
    text: NDArray[np.float32]


class ImageTextPipeline(PicturePipeline[ImageText]):
    """Turns pictures into `ImageText`, decoding, preparing and running the model once.

    It is called, streamed and used by stages like `ImagePipeline`; create it with
    `pipeline(name).with_text()`. Attributes: `recipe` and `fingerprint` of the plain vectors,
    `text_recipe` and `text_fingerprint` of the text-space vectors, each equal to that of the
    pipeline for these vectors alone; `runtime`, `precision`, `device` and `max_batch`.
    """

    def __init__(
        self,
        recipe: Recipe,
        runtime: str = "auto",
        precision: str | None = None,
        device: str = "cpu",
    ) -> None:
        """`recipe` is that of the plain vectors.

        Raises what `ImagePipeline` raises, and `RecipeError` when the recipe's model is not run by
        `image_embedding.timm` or has no text space.
        """
        way = {"runtime": runtime, "precision": precision, "device": device}
        chain = build_chain(recipe, **way)
        if type(chain.model) is not TimmEmbedding:
            raise RecipeError(
                "Two vectors of a picture need a recipe with image_embedding.timm; "
                f"{recipe.name!r} has another model."
            )
        self._normalizations = chain.normalizations
        self.text_recipe = text_recipe(recipe)
        self.text_fingerprint = self.text_recipe.fingerprint
        self._text: Any = registry.build(self.text_recipe.operators[-2], way)
        self._unit = L2()
        size = self._begin(recipe, chain.decode, chain.transforms)
        spec = replace(chain.model.spec(*size), head=self._text.head)
        self._network = load_network(spec, runtime, precision, device)
        self._computed_by(self._network)

    def __repr__(self) -> str:
        return f"<ImageTextPipeline {self.recipe.name} and {self.text_recipe.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the recipe only; the receiving process loads the pipeline once."""
        return image_text_pipeline, (self.recipe, self.runtime, self.precision, self.device)

    def __call__(self, pictures: Any) -> ImageText:
        """Return the vectors (D,) and (T,) of a picture, or (N, D) and (N, T) of a list or tuple.

        Raises what a call of `ImagePipeline` raises.
        """
        self._check_given(pictures)
        if not isinstance(pictures, list | tuple):
            return self.rows([self._prepared(pictures)])[0]
        both = self._empty(len(pictures))
        for place, row in enumerate(self.stream(pictures)):
            both.image[place], both.text[place] = row
        return both

    def batch(self, pictures: Sequence[Any]) -> list[ImageText]:
        """Return the pair for each picture. Used by graph pipelines."""
        return [ImageText(*row) for row in zip(*self(list(pictures)), strict=True)]

    def embed(self, batch: Sequence[NDArray[np.uint8]]) -> ImageText:
        """Return vectors (N, D) and (N, T) of N prepared pictures, `max_batch` per forward pass.

        Raises `InputError` for pixels that do not come from `prepare`, and `RuntimeUnavailable` in
        a process that was forked after a model was loaded.
        """
        self._check_prepared(batch)
        check_process()
        both = self._empty(len(batch))
        for start in range(0, len(batch), self.max_batch):
            chunk = slice(start, start + self.max_batch)
            outputs = embed_views(self._pixels, batch[chunk], self.max_batch)
            text, image = np.split(outputs, [self.text_recipe.dimension], axis=1)
            for normalize in self._normalizations:
                image = normalize(image)
            both.image[chunk], both.text[chunk] = image, self._unit(text)
        return both

    def _pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, 3, H, W) to text-space vectors followed by features."""
        outputs = self._network(pixels)
        features, head = outputs[:, : -self._text.head], outputs[:, -self._text.head :]
        return np.concatenate((self._text.project(head), features), axis=1)

    def rows(self, batch: Sequence[NDArray[np.uint8]]) -> Sequence[ImageText]:
        # Copies, so that a retained vector does not keep its whole batch in memory.
        pairs = zip(*self.embed(batch), strict=True)
        return [ImageText(image.copy(), text.copy()) for image, text in pairs]

    def _empty(self, number: int) -> ImageText:
        return ImageText(
            np.empty((number, self.recipe.dimension), np.float32),
            np.empty((number, self.text_recipe.dimension), np.float32),
        )


_pipelines: dict[tuple[str, str, str | None, str], ImageTextPipeline] = {}
_loading = threading.Lock()


def image_text_pipeline(
    recipe: Recipe, runtime: str = "auto", precision: str | None = None, device: str = "cpu"
) -> ImageTextPipeline:
    """Return the pipeline for the vectors of `recipe` and text-space vectors, created once per
    process. Raises what `ImageTextPipeline` raises."""
    key = (recipe.to_json(), runtime, precision, device)
    with _loading:
        if key not in _pipelines:
            _pipelines[key] = ImageTextPipeline(recipe, runtime, precision, device)
        return _pipelines[key]
