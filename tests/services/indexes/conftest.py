"""A dataset of real pictures with real vectors: Milvus Lite runs, workers are called in process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User

from searchapp.infra.vectors.store import VectorStore, get_store
from searchapp.models import Dataset, Image, Index, IndexState
from searchapp.services.datasets.dataset_service import create_dataset
from searchapp.services.indexes import lifecycle
from tests.factories import add_image
from tests.pictures import drawn_picture
from worker.tasks.indexes import advance

OTHER = "image-embedding-efficientnet-lite0:exact"


@pytest.fixture
def dataset(owner: User, store: VectorStore) -> Dataset:
    return create_dataset(name="Pictures", owner=owner)


@pytest.fixture
def add(dataset: Dataset) -> Callable[..., list[Image]]:
    """Add ready pictures with their originals and thumbnails, and vectors where `vectors`."""

    def make(number: int, *, start: int = 0, vectors: bool = True) -> list[Image]:
        images = [
            add_image(dataset, drawn_picture(place), name=f"{place}.png", width=48, height=36)
            for place in range(start, start + number)
        ]
        if vectors:
            lifecycle.owe(dataset.active_index, [image.pk for image in images])
            advance()
        return images

    return make


def built(index: Index) -> Index:
    """Let a worker work until the index is no longer building."""
    for _ in range(50):
        index.refresh_from_db()
        if index.state != IndexState.BUILDING:
            return index
        advance()
    raise AssertionError(f"{index} is still building at {index.cursor}")


def held(index: Index) -> list[int]:
    return get_store().ids_after(index.collection, -1)
