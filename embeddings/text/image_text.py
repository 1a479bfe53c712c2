"""Two vectors of a picture from one forward pass: as ever, and beside texts."""

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
    """What `ImageTextPipeline` gives for a picture, or for N of them.

    `image` float32 (D,) or (N, D), as the plain pipeline gives it; `text` float32 (T,) or (N, T),
    which may be compared with the vectors of `text_encoder`. All of unit length.
    """

    image: NDArray[np.float32]
    text: NDArray[np.float32]


class ImageTextPipeline(PicturePipeline[ImageText]):
    """Pictures to `ImageText`, decoded, prepared and run through the model once.

    Called, streamed and used by its stages as `ImagePipeline` is; `pipeline(name).with_text()`
    gives one. Attributes: `recipe` and `fingerprint` of the plain vectors, `text_recipe` and
    `text_fingerprint` of those beside texts, each that of the pipeline which gives it alone;
    `runtime`, `precision`, `device` and `max_batch`.
    """

    def __init__(
        self,
        recipe: Recipe,
        runtime: str = "auto",
        precision: str | None = None,
        device: str = "cpu",
    ) -> None:
        """`recipe` is that of the plain vectors.

        Raises what `ImagePipeline` raises, and `RecipeError` where the recipe's model is none of
        `image_embedding.timm` or has no space of texts.
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
        """Travels as its recipe, and is loaded where it arrives, once per process."""
        return image_text_pipeline, (self.recipe, self.runtime, self.precision, self.device)

    def __call__(self, pictures: Any) -> ImageText:
        """The vectors (D,) and (T,) of a picture, or (N, D) and (N, T) of a list or tuple.

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
        """The pair of each picture. Graph pipelines ask for it."""
        return [ImageText(*row) for row in zip(*self(list(pictures)), strict=True)]

    def embed(self, batch: Sequence[NDArray[np.uint8]]) -> ImageText:
        """Vectors (N, D) and (N, T) of N prepared pictures; at most `max_batch` a forward pass.

        Raises `InputError` for pixels that `prepare` has not made, and `RuntimeUnavailable` in a
        process that was forked from one with a model.
        """
        self._check_prepared(batch)
        check_process()
        both = self._empty(len(batch))
        for start in range(0, len(batch), self.max_batch):
            chunk = slice(start, start + self.max_batch)
            given = embed_views(self._pixels, batch[chunk], self.max_batch)
            text, image = np.split(given, [self.text_recipe.dimension], axis=1)
            for normalize in self._normalizations:
                image = normalize(image)
            both.image[chunk], both.text[chunk] = image, self._unit(text)
        return both

    def _pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, 3, H, W) to what stands beside texts and, behind it, the features."""
        given = self._network(pixels)
        features, head = given[:, : -self._text.head], given[:, -self._text.head :]
        return np.concatenate((self._text.project(head), features), axis=1)

    def rows(self, batch: Sequence[NDArray[np.uint8]]) -> Sequence[ImageText]:
        # Each an object of its own, so that a kept vector does not keep its batch.
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
    """The pipeline that gives the vectors of `recipe` and those beside texts, made once per
    process. Raises what `ImageTextPipeline` raises."""
    key = (recipe.to_json(), runtime, precision, device)
    with _loading:
        if key not in _pipelines:
            _pipelines[key] = ImageTextPipeline(recipe, runtime, precision, device)
        return _pipelines[key]
