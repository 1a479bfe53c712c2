"""Rows, files and, where a test asks for it, a vector store; nothing else of a service runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from searchapp.infra.upload_handler import HashedUpload
from searchapp.infra.vectors.store import VectorStore, get_store
from searchapp.models import Dataset, Image, ImageState
from searchapp.services.datasets.dataset_service import create_dataset
from tests import factories
from tests.infra.vectors.conftest import Launcher, prepared_launcher


@pytest.fixture(autouse=True)
def folders(settings: Any, tmp_path: Path) -> None:
    """Files of these tests go with them."""
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.IMPORT_ROOTS = [tmp_path / "root"]
    settings.STORAGES = settings.STORAGES | {
        "default": {
            "BACKEND": "searchapp.infra.storage.DurableFileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "files")},
        }
    }


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("owner", password="correct-horse-battery")


@pytest.fixture
def dataset(owner: User) -> Dataset:
    return create_dataset(name="Pictures", owner=owner)


@pytest.fixture
def images(dataset: Dataset) -> Callable[[int], list[Image]]:
    """Make received images, by number."""

    def make(number: int) -> list[Image]:
        return factories.add_rows(dataset, number, state=ImageState.RECEIVED)

    return make


@pytest.fixture
def upload() -> Iterator[Callable[..., HashedUpload]]:
    """Make received files, which are closed in the end."""
    uploads: list[HashedUpload] = []

    def make(content: bytes, name: str = "a.png") -> HashedUpload:
        uploads.append(factories.hashed_upload(content, name))
        return uploads[-1]

    yield make
    for one in uploads:
        one.close()


@pytest.fixture(scope="session")
def milvus_server() -> Iterator[Launcher]:
    with prepared_launcher() as milvus:
        milvus.start()
        yield milvus


@pytest.fixture
def store(folders: None, milvus_server: Launcher, settings: Any) -> Iterator[VectorStore]:
    """The vector store, empty."""
    settings.MILVUS_URI = milvus_server.uri
    settings.RUNTIME = "torch"
    vector_store = get_store()
    yield vector_store
    for name in vector_store.collections():
        vector_store.drop(name)
