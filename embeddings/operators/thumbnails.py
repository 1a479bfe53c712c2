"""Small copies of a picture and its colour, for pages."""

import io

from PIL import Image

_WEBP_LONGEST = 16383


def shrink(image: Image.Image, side: int) -> Image.Image:
    """An RGB copy whose long side is at most `side` pixels (1 to 16,383), never enlarged."""
    if not 1 <= side <= _WEBP_LONGEST:
        raise ValueError(f"A thumbnail's side must be 1 to {_WEBP_LONGEST} pixels, not {side}.")
    width, height = image.size
    rgb = image.convert("RGB") if image.mode != "RGB" else image
    scale = side / max(width, height)
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return rgb.resize(size, Image.Resampling.HAMMING, reducing_gap=2.0)


def thumbnail(image: Image.Image, side: int) -> bytes:
    """A WebP whose long side is at most `side` pixels (1 to 16,383), never enlarged.

    `image` is an RGB picture, as `decode` gives it; it is not changed. Effort 0, because it is
    twice as quick as the default and the files are only little larger. No metadata is kept.
    """
    small = shrink(image, side)
    out = io.BytesIO()
    # Stated, because Pillow would otherwise write the picture's own EXIF and profile.
    small.save(out, "WEBP", quality=80, method=0, exif=b"", icc_profile=b"", xmp=b"")
    return out.getvalue()


def dominant_color(image: Image.Image) -> str:
    """The most frequent colour of an RGB picture as "#rrggbb", from a copy of 32 x 32."""
    small = image.convert("RGB") if image.mode != "RGB" else image
    small = small.resize((32, 32), Image.Resampling.BOX, reducing_gap=1.0)
    few = small.quantize(8, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette = few.getpalette() or []
    counts = few.histogram()[: len(palette) // 3]
    place = 3 * counts.index(max(counts))
    red, green, blue = palette[place : place + 3]
    return f"#{red:02x}{green:02x}{blue:02x}"
