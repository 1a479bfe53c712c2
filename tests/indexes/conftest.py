"""A dataset of real pictures with real vectors: Milvus Lite runs, workers are called in process."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from PIL import Image as Pillow

from searchapp.infra import storage
from searchapp.infra.upload_handler import HashingWriter
from searchapp.infra.vectors.store import VectorStore, get_store
from searchapp.models import Dataset, Image, ImageState, Index, IndexState
from searchapp.services.datasets.dataset_service import create_dataset
from searchapp.services.indexes import lifecycle
from tests.vectors.conftest import Launcher, prepared_launcher
from worker.tasks.indexes import advance

OTHER = "image-embedding-efficientnet-lite0:exact"


@pytest.fixture(scope="session")
def milvus_server() -> Iterator[Launcher]:
    with prepared_launcher() as made:
        made.start()
        yield made


@pytest.fixture
def store(milvus_server: Launcher, settings: Any, tmp_path: Path) -> Iterator[VectorStore]:
    """The vector store, empty, and files of this test's own."""
    settings.MILVUS_URI = milvus_server.uri
    settings.RUNTIME = "torch"
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.STORAGES = settings.STORAGES | {
        "default": {
            "BACKEND": "searchapp.infra.storage.DurableFileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "files")},
        }
    }
    made = get_store()
    yield made
    for name in made.collections():
        made.drop(name)


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("owner")


@pytest.fixture
def dataset(owner: User, store: VectorStore) -> Dataset:
    return create_dataset(name="Pictures", owner=owner)


def picture(number: int) -> bytes:
    """A small picture that is like no other."""
    drawn = Pillow.effect_mandelbrot((48, 36), (-2 + number / 9, -1.2, 1, 1.2 - number / 17), 40)
    file = io.BytesIO()
    drawn.convert("RGB").rotate(number * 7).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def add(dataset: Dataset) -> Callable[..., list[Image]]:
    """Add ready pictures with their originals and thumbnails, and vectors where `vectors`."""

    def make(number: int, *, start: int = 0, vectors: bool = True) -> list[Image]:
        made = []
        for place in range(start, start + number):
            writer = HashingWriter()
            writer.write(picture(place))
            with writer.finish(f"{place}.png") as upload:
                storage.put_original(upload)
                made.append(
                    Image(
                        dataset=dataset, content_key=upload.sha256, sha256=upload.sha256,
                        name=f"{place}.png", bytes=upload.size or 0, state=ImageState.READY,
                        format="png", width=48, height=36,
                    )
                )  # fmt: skip
            for side in storage.THUMBNAIL_SIDES:
                storage.put_thumbnail(made[-1].sha256, side, b"RIFF")
        Image.objects.bulk_create(made)
        if vectors:
            lifecycle.owe(dataset.active_index, [image.pk for image in made])
            advance()
        return made

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
