"""An image's pixels, as an index's pipeline wants them."""

from __future__ import annotations

from django.conf import settings

from embeddings.operators.decode import Decoded, decode
from embeddings.pipelines import ImagePipeline
from searchapp.models import Image


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
    whole = decode(data, max_pixels=settings.MAX_PIXELS)
    left, top, width, height = (int(number) for number in image.box)
    if not (0 <= left < left + width <= whole.width and 0 <= top < top + height <= whole.height):
        raise BadBox(
            f"The box {left}, {top}, {width}, {height} is not within the picture, which has "
            f"{whole.width} × {whole.height} pixels.",
        )
    cut = whole.image.crop((left, top, left + width, top + height))
    return Decoded(cut, whole.format, width, height)
