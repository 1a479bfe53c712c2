"""An image's pixels, as an index's pipeline wants them."""

from __future__ import annotations

from django.conf import settings

from embeddings.operators.decode.pillow import Decoded, decode
from embeddings.operators.thumbnails import dominant_color, shrink, thumbnail
from embeddings.pipelines import ImagePipeline
from searchapp.infra import storage
from searchapp.models import Image
from searchapp.services.ingest.claims import FACTS


class BadBox(Exception):
    """A box that is not within its picture."""

    code = "box_outside"


def look_at(image: Image, data: bytes, pipeline: ImagePipeline) -> Decoded:
    """Decode `data`, the original of `image`, as `pipeline` does; of a box, only its pixels.

    A box is cut from the whole picture at its full size: what a quicker way of decoding leaves
    out may be all that the box shows.

    Raises:
        ImageError: for every picture that cannot be used.
        BadBox: where the box is not within the picture.
    """
    if image.box is None:
        return pipeline.decode(data, max_pixels=settings.MAX_PIXELS)
    return cut_out(image, decode(data, max_pixels=settings.MAX_PIXELS))


def cut_out(image: Image, whole: Decoded) -> Decoded:
    """Return the part of its whole file that `image` is; that file itself where it is no part.

    Raises:
        BadBox: where the box is not within the picture.
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
    """Write the thumbnails of `image` and set its facts, whose names are returned."""
    image.format, image.width, image.height = decoded.format, decoded.width, decoded.height
    small = decoded.image
    for side in sorted(storage.THUMBNAIL_SIDES, reverse=True):
        small = shrink(small, side)  # each from the one before: costs what the largest does
        storage.put_thumbnail(image.thumbnail_key, side, thumbnail(small, side))
    image.color = dominant_color(small)
    return FACTS
