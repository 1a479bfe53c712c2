"""Cheap validation of a file before any decoding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embeddings.errors import ImageError
from embeddings.operators.decode.sniff import sniff
from searchapp.infra.content_keys import content_key
from searchapp.infra.upload_handler import HashedUpload
from searchapp.models import Image, ImageState
from searchapp.services.imports.detection import is_archive
from searchapp.services.imports.options import ImportOptions
from searchapp.services.ingest.acceptance import Arrival

# The bytes of images in these states are imported again.
GONE = (ImageState.REJECTED, ImageState.FAILED, ImageState.DELETED)
_HEAD = 4096  # bytes by which a format is detected


def refusal_of_upload(upload: HashedUpload, *, nested: bool = False) -> tuple[str, str] | None:
    """Return code and sentence when the file is empty, too large or not a picture.

    With `nested` an archive gets its own code: it came out of one.
    """
    if upload.refusal is not None:
        return upload.refusal
    with upload.path.open("rb") as file:
        head = file.read(_HEAD)
    if nested and is_archive(head):
        return "nested_archive", "This is an archive inside an archive; only one level is opened."
    try:
        sniff(head)
    except ImageError as error:
        return error.code, error.detail
    return None


def is_there(dataset_id: int, sha256: str, box: list[int] | None = None) -> bool:
    """Whether the dataset has a living image with these bytes."""
    images = Image.objects.filter(dataset=dataset_id, content_key=content_key(sha256, box))
    return images.exclude(state__in=GONE).exists()


def arrival(
    upload: HashedUpload,
    fields: Mapping[str, Any],
    options: ImportOptions,
    *,
    name: str,
    sent: str = "",
    reference: str = "",
) -> Arrival:
    """Combine the source's fields of a file with the import's options."""
    return Arrival(
        upload=upload,
        name=name.rpartition("/")[2],
        title=fields.get("title", ""),
        metadata={**options.metadata, **fields.get("metadata", {})},
        label=fields.get("label") or options.label,
        tags=tuple(dict.fromkeys([*fields.get("tags", ()), *options.tags])),
        box=fields.get("box"),
        reference=reference,
        sent=sent,
        on_duplicate=options.on_duplicate,
    )
