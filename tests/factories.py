"""Files and rows for tests: each made in one place."""

from __future__ import annotations

import hashlib

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image as Pillow

from embeddings.operators.thumbnails import thumbnail
from searchapp.infra import storage
from searchapp.infra.upload_handler import HashedUpload, HashingWriter
from searchapp.models import Dataset, Image, ImageState
from tests.pictures import plain_picture


def hashed_upload(content: bytes, name: str = "a.png") -> HashedUpload:
    """A received file, as views hand it to services; the caller closes it."""
    writer = HashingWriter()
    writer.write(content)
    return writer.finish(name)


def add_image(
    dataset: Dataset,
    content: bytes | None = None,
    *,
    thumbnails_of: Pillow.Image | None = None,
    **fields: object,
) -> Image:
    """Add an image with its row and files, as an ingest worker leaves it.

    `thumbnails_of` is the picture whose thumbnails are stored, grey ones by default; `fields` are
    those of the row.
    """
    if content is None:
        content = plain_picture(Image.objects.count(), (6, 4))
    sha256 = hashlib.sha256(content).hexdigest()
    default_storage.save(f"originals/{sha256[:2]}/{sha256[2:4]}/{sha256}", ContentFile(content))
    values: dict[str, object] = {
        "content_key": sha256, "sha256": sha256, "name": "a.png", "bytes": len(content),
        "format": "png", "width": 6, "height": 4, "color": "#88aa44", "state": ImageState.READY,
    }  # fmt: skip
    image = Image.objects.create(dataset=dataset, **(values | fields))
    shown = thumbnails_of or Pillow.new("RGB", (6, 4), "grey")
    for side in storage.THUMBNAIL_SIDES:
        storage.put_thumbnail(image.thumbnail_key, side, thumbnail(shown, side))
    return image


def add_rows(dataset: Dataset, number: int, **fields: object) -> list[Image]:
    """Add rows of images without files, for what looks only at rows."""
    values: dict[str, object] = {
        "bytes": 1, "format": "png", "width": 6, "height": 4, "color": "#88aa44",
        "state": ImageState.READY,
    }  # fmt: skip
    return Image.objects.bulk_create(
        Image(
            dataset=dataset,
            content_key=f"{place:064x}",
            sha256=f"{place:064x}",
            name=f"{place}.png",
            **(values | fields),
        )
        for place in range(number)
    )
