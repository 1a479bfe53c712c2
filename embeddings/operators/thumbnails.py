"""Thumbnails of a picture and its dominant colour, for web pages."""

import io

from PIL import Image

from embeddings.errors import InputError
from embeddings.operators.decode.pillow import load

_MAX_WEBP_SIDE = 16383


def shrink(image: Image.Image, side: int) -> Image.Image:
    """Return an RGB copy whose long side is at most `side` pixels (1 to 16,383), never enlarged.

    Raises `InputError` for another side and for objects other than PIL images, and what `load`
    raises.
    """
    if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= _MAX_WEBP_SIDE:
        raise InputError(f"A thumbnail's side must be 1 to {_MAX_WEBP_SIDE} pixels, not {side!r}.")
    rgb = _rgb(image)
    width, height = rgb.size
    scale = side / max(width, height)
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if (width, height) == (2 * size[0], 2 * size[1]):
        return rgb.reduce(2)  # same quality in a fifth of the time
    return rgb.resize(size, Image.Resampling.HAMMING, reducing_gap=2.0)


def thumbnail(image: Image.Image, side: int) -> bytes:
    """Return a WebP whose long side is at most `side` pixels (1 to 16,383), never enlarged.

    `image` is an RGB picture, as `decode` returns it; it is not changed. Effort 0 is twice as
    fast as the default, with slightly larger files. No metadata is kept. Raises what `shrink`
    raises.
    """
    small = shrink(image, side)
    out = io.BytesIO()
    # Explicit, because Pillow would otherwise write the picture's own EXIF and profile.
    small.save(out, "WEBP", quality=80, method=0, exif=b"", icc_profile=b"", xmp=b"")
    return out.getvalue()


def dominant_color(image: Image.Image) -> str:
    """Return the most frequent colour of an RGB picture as "#rrggbb", from a copy of 32 x 32.

    Raises `InputError` for objects other than PIL images, and what `load` raises.
    """
    small = _rgb(image).resize((32, 32), Image.Resampling.BOX, reducing_gap=1.0)
    few = small.quantize(8, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette = few.getpalette() or []
    counts = few.histogram()[: len(palette) // 3]
    place = 3 * counts.index(max(counts))
    red, green, blue = palette[place : place + 3]
    return f"#{red:02x}{green:02x}{blue:02x}"


def _rgb(image: Image.Image) -> Image.Image:
    if not isinstance(image, Image.Image):
        raise InputError(f"A thumbnail is made of a PIL image, not {type(image).__name__}.")
    load(image)
    return image.convert("RGB") if image.mode != "RGB" else image
