"""Rows and files to import from, without any running service: Redis and Milvus are not there."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from PIL import Image as PillowImage

from searchapp.infra.upload_handler import HashedUpload, HashingWriter
from searchapp.models import Dataset, ImportJob
from searchapp.services.datasets.dataset_service import create_dataset
from searchapp.services.imports import job_progress, step
from searchapp.services.ingest import claims


@pytest.fixture(autouse=True)
def folders(settings: Any, tmp_path: Path) -> None:
    """Files of these tests go with them."""
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.IMPORT_ROOTS = [tmp_path / "root"]
    (tmp_path / "root").mkdir()
    settings.STORAGES = settings.STORAGES | {
        "default": {
            "BACKEND": "searchapp.infra.storage.DurableFileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "files")},
        }
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The one folder of the server that imports may read."""
    return tmp_path / "root"


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("owner", password="correct-horse-battery")


@pytest.fixture
def dataset(owner: User) -> Dataset:
    return create_dataset(name="Pictures", owner=owner)


def picture(number: int = 0, side: int = 8) -> bytes:
    """A small real picture, another one for each number."""
    file = io.BytesIO()
    color = (number % 256, number // 256 % 256, number // 65536 % 256)
    PillowImage.new("RGB", (side, side), color).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def upload() -> Iterator[Callable[..., HashedUpload]]:
    made: list[HashedUpload] = []

    def make(content: bytes, name: str = "a.png") -> HashedUpload:
        writer = HashingWriter()
        writer.write(content)
        made.append(writer.finish(name))
        return made[-1]

    yield make
    for one in made:
        one.close()


def run(job: ImportJob, *, bad: frozenset[str] = frozenset()) -> None:
    """Do all that workers would do for imports: theirs in truth, and of the model's only what it
    writes into the ledger."""
    for _ in range(1000):
        more = step.advance()
        images = claims.claim(64)
        claims.fail([image for image in images if image.name in bad], "internal_error", "x")
        claims.finish([image for image in images if image.name not in bad], into=[])
        if not more and not images:
            break
    job_progress.settle_all()
    job.refresh_from_db()


def rows(job: ImportJob) -> list[tuple[str, str, str]]:
    """The ledger: name, state, code."""
    found = job.items.order_by("position").values_list("name", "state", "error_code")
    return [(name, state, code) for name, state, code in found]
