"""Pictures with their files and rows, as ingest leaves them; neither Redis nor Milvus is there."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from PIL import Image as Pillow

from embeddings.operators.thumbnails import thumbnail
from harness.installation import ROOT
from searchapp.infra import storage
from searchapp.infra.upload_handler import HashingWriter
from searchapp.models import Dataset, Image, ImageState
from searchapp.services.datasets.dataset_service import create_dataset

DEMO = ROOT / "demo"
CAT = DEMO / "explore_farm_animals-cat.jpg"


@pytest.fixture(autouse=True)
def folders(settings: Any, tmp_path: Path) -> None:
    """Files of these tests go with them."""
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.STORAGES = settings.STORAGES | {
        "default": {
            "BACKEND": "searchapp.infra.storage.DurableFileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "files")},
        }
    }


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("owner")


@pytest.fixture
def dataset(owner: User) -> Dataset:
    return create_dataset(name="Pictures", owner=owner)


def saved(picture: Pillow.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


Add = Callable[..., Image]


@pytest.fixture
def add(dataset: Dataset) -> Add:
    """Add a ready picture with its files; `fields` are those of its row."""

    def make(content: bytes, **fields: Any) -> Image:
        writer = HashingWriter()
        writer.write(content)
        picture = Pillow.open(io.BytesIO(content)).convert("RGB")
        with writer.finish("a.png") as upload:
            storage.put_original(upload)
            image = Image(
                dataset=dataset,
                content_key=upload.sha256,
                sha256=upload.sha256,
                name="a.png",
                bytes=upload.size or 0,
                state=ImageState.READY,
                format="png",
                width=picture.width,
                height=picture.height,
            )
        for name, value in fields.items():
            setattr(image, name, value)
        for side in storage.THUMBNAIL_SIDES:
            storage.put_thumbnail(image.thumbnail_key, side, thumbnail(picture, side))
        image.save()
        return image

    return make
