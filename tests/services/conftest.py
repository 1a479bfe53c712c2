"""Rows to work on, without any running service: Redis and Milvus are not there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User

from searchapp.infra.upload_handler import HashedUpload, HashingWriter
from searchapp.models import Dataset, Image
from searchapp.services.datasets.dataset_service import create_dataset


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("owner", password="correct-horse-battery")


@pytest.fixture
def dataset(owner: User) -> Dataset:
    return create_dataset(name="Pictures", owner=owner)


@pytest.fixture
def upload() -> Callable[..., HashedUpload]:
    def make(content: bytes, name: str = "a.jpg") -> HashedUpload:
        writer = HashingWriter()
        writer.write(content)
        return writer.finish(name)

    return make


@pytest.fixture
def images(dataset: Dataset) -> Callable[[int], list[Image]]:
    """Make received images, by number."""

    def make(number: int) -> list[Image]:
        return Image.objects.bulk_create(
            Image(
                dataset=dataset, content_key=f"{n:064x}", sha256=f"{n:064x}", name=f"{n}", bytes=1
            )
            for n in range(number)
        )

    return make
