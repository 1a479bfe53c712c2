"""Images with made-up vectors in a real Milvus Lite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from searchapp.infra.vectors.store import VectorStore
from searchapp.models import Dataset, Image, ImageState
from searchapp.services.filters.scalar_tokens import scalars_of
from tests.services.indexes.conftest import dataset

__all__ = ["dataset", "fill"]

Fill = Callable[..., list[Image]]


def image_of(**facts: Any) -> Image:
    """A picture that is in no database, with these facts."""
    plain: dict[str, Any] = {
        "pk": 1, "name": "a.jpg", "width": 640, "height": 480, "bytes": 1000, "format": "jpeg",
        "color": "#336699", "created": datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC),
    }  # fmt: skip
    return Image(**(plain | facts))


def direction(dimension: int, closeness: float, number: int) -> npt.NDArray[np.float32]:
    """A unit vector whose cosine with `query` is `closeness`, and which is like no other."""
    rng = np.random.default_rng(number)
    other = rng.standard_normal(dimension)
    other[0] = 0
    other *= np.sqrt(max(0.0, 1 - closeness**2)) / np.linalg.norm(other)
    other[0] = closeness
    return other.astype(np.float32)


def query(dimension: int) -> npt.NDArray[np.float32]:
    vector = np.zeros(dimension, np.float32)
    vector[0] = 1
    return vector


@pytest.fixture
def fill(dataset: Dataset, store: VectorStore) -> Fill:
    """Add ready pictures to the dataset and its index: one for each of `facts`, the first the most
    alike, the score of each `step` below that of the one before."""

    def make(
        facts: Sequence[dict[str, Any]],
        *,
        scalars: bool = True,
        into: Dataset | None = None,
        best: float = 0.99,
        step: float = 0.0001,
    ) -> list[Image]:
        of = into or dataset
        start = of.images.count()
        images = [
            Image(
                **{
                    "dataset": of, "content_key": f"{of.pk}-{start + place}",
                    "name": f"{place}.jpg",
                    "sha256": f"{of.pk:032x}{start + place:032x}", "bytes": 1000 + place,
                    "width": 640, "height": 480, "format": "jpeg", "color": "#336699",
                    "state": ImageState.READY,
                }
                | fact
            )
            for place, fact in enumerate(facts)
        ]  # fmt: skip
        Image.objects.bulk_create(images)
        index = of.active_index
        store.ensure_collection(index.collection, index.dimension)
        vectors = [direction(index.dimension, best - step * at, at) for at in range(len(images))]
        store.upsert(
            index.collection,
            [image.pk for image in images],
            np.stack(vectors),
            [scalars_of(image) for image in images] if scalars else None,
        )
        return images

    return make
