"""Three people and what they own: each permission can be asked of each."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.http import StreamingHttpResponse
from django.test import Client
from PIL import Image as Pillow

from searchapp.infra import storage
from searchapp.models import Dataset, Image, ImageState
from searchapp.services.datasets.dataset_service import create_dataset


class ReadingClient(Client):
    """Reads what is streamed, so that no file stays open; `answer.getvalue()` has it."""

    def request(self, **request: Any) -> Any:
        answer: Any = super().request(**request)
        if isinstance(answer, StreamingHttpResponse):
            answer.streaming_content = [answer.getvalue()]
            answer.close()
        return answer


@dataclass
class House:
    """A public and a private dataset of one owner, and people around them."""

    owner: User
    outsider: User
    public: Dataset
    private: Dataset

    def client(self, who: str) -> Client:
        client = ReadingClient()
        if who != "anonymous":
            client.force_login(getattr(self, who))
        return client


@pytest.fixture(autouse=True)
def static_root(settings: object) -> None:
    """WhiteNoise warns about a folder that nobody has collected into."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)  # type: ignore[attr-defined]


@pytest.fixture
def house(db: None) -> House:
    owner = User.objects.create_user("owner")
    return House(
        owner=owner,
        outsider=User.objects.create_user("outsider"),
        public=create_dataset(name="Birds", owner=owner, visibility="public"),
        private=create_dataset(name="Letters", owner=owner),
    )


def picture(kind: str = "PNG", size: tuple[int, int] = (6, 4), shade: int = 0) -> bytes:
    file = io.BytesIO()
    Pillow.new("RGB", size, (shade % 256, 120, 90)).save(file, kind)
    return file.getvalue()


def add_image(dataset: Dataset, content: bytes | None = None, **fields: object) -> Image:
    """Put an image into the database, with its files, as an ingest worker would leave it."""
    content = content if content is not None else picture(shade=Image.objects.count())
    sha256 = hashlib.sha256(content).hexdigest()
    default_storage.save(f"originals/{sha256[:2]}/{sha256[2:4]}/{sha256}", ContentFile(content))
    for side in storage.THUMBNAIL_SIDES:
        storage.put_thumbnail(sha256, side, picture("WEBP", (side, side)))
    values: dict[str, object] = {
        "content_key": sha256, "sha256": sha256, "name": "a.png", "bytes": len(content),
        "format": "png", "width": 6, "height": 4, "color": "#88aa44", "state": ImageState.READY,
    }  # fmt: skip
    return Image.objects.create(dataset=dataset, **(values | fields))


def add_rows(dataset: Dataset, number: int) -> list[Image]:
    """Rows without files, for what looks only at rows."""
    return Image.objects.bulk_create(
        Image(
            dataset=dataset, content_key=f"{place:064x}", sha256=f"{place:064x}",
            name=f"{place}.png", bytes=1, format="png", width=6, height=4, color="#88aa44",
            state=ImageState.READY,
        )
        for place in range(number)
    )  # fmt: skip
