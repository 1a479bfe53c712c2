"""Decoding of stored images for a pipeline; their thumbnails, size and format."""

from __future__ import annotations

from django.conf import settings

from embeddings.operators.decode.pillow import Decoded, decode
from embeddings.operators.thumbnails import dominant_color, shrink, thumbnail
from embeddings.pipelines import ImagePipeline
from searchapp.infra import storage
from searchapp.models import Image
from searchapp.services.ingest.claims import FACTS


class BadBox(Exception):
    """A box that is not within its image."""

    code = "box_outside"


def look_at(image: Image, data: bytes, pipeline: ImagePipeline) -> Decoded:
    """Decode `data`, the original of `image`, as `pipeline` does; of a box, return only its part.

    A box is cut from the image at full size: a quicker, smaller decoding may lose the detail that
    the box shows.

    Raises `ImageError` when the image cannot be used, and `BadBox` when the box is not within it.
    """
    if image.box is None:
        return pipeline.decode(data, max_pixels=settings.MAX_PIXELS)
    return cut_out(image, decode(data, max_pixels=settings.MAX_PIXELS))


def cut_out(image: Image, whole: Decoded) -> Decoded:
    """Return the part of the file in the box of `image`, or the whole file where it has no box.

    Raises `BadBox` when the box is not within the file's image.
    """
    if image.box is None:
        return whole
    left, top, width, height = (int(number) for number in image.box)
    if not (0 <= left < left + width <= whole.width and 0 <= top < top + height <= whole.height):
        raise BadBox(
            f"The box {left}, {top}, {width}, {height} is not within the picture, which has "
            f"{whole.width} × {whole.height} pixels.",
        )
    cut = whole.image.crop((left, top, left + width, top + height))
    return Decoded(cut, whole.format, width, height)


def note_facts(image: Image, decoded: Decoded) -> list[str]:
    """Write the thumbnails of `image` and set its format, size and color; return these fields."""
    image.format, image.width, image.height = decoded.format, decoded.width, decoded.height
    small = decoded.image
    for side in sorted(storage.THUMBNAIL_SIDES, reverse=True):
        small = shrink(small, side)  # each from the one before: all cost little more than one
        storage.put_thumbnail(image.thumbnail_key, side, thumbnail(small, side))
    image.color = dominant_color(small)
    return FACTS
