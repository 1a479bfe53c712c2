"""Image decoding with OpenCV: faster for some files, less exact about colour."""

import contextlib
import functools
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embeddings.errors import ImageError, OperatorUnavailable, RecipeError
from embeddings.operators.decode import headers, pillow
from embeddings.operators.decode.color import to_srgb
from embeddings.operators.decode.sniff import sniff
from embeddings.operators.decode.sources import Source, read


class OpenCvDecode:
    """`image_decode.opencv`: `cv2.imdecode`, with the limits and errors of the other decoders.

    Bytes, a path or a binary file object to RGB: upright by EXIF, transparency on white, more
    than 8 bits per channel reduced to 8. Differences from `image_decode.pillow`:

    - ICC profiles are ignored (`color` is "device"): a picture in Adobe RGB or Display P3 keeps
      its values, and CMYK is converted by a simple formula.
    - HEIC and TIFF are not supported (`unsupported_format`): OpenCV has no HEIC decoder and does
      not reliably return a TIFF's transparency and orientation. AVIF and GIF are supported if
      OpenCV was built with them, as opencv-python-headless is.
    - A file whose structure shows that it is truncated is refused; Pillow accepts it if all
      pixels are there. Some truncated files are reported as `corrupt`, not `truncated`.
    - OpenCV's limit is 1,048,576 pixels per side, and it writes its own warnings to stderr.
    - Pillow pictures are not accepted.
    """

    light = True

    def __init__(
        self, orientation: str = "exif", color: str = "device", background: str = "#ffffff"
    ) -> None:
        if (orientation, color, background) != ("exif", "device", "#ffffff"):
            raise RecipeError(
                "image_decode.opencv works with orientation 'exif', color 'device' and "
                f"background '#ffffff'; not {orientation!r}, {color!r} and {background!r}."
            )
        _cv2()

    def __call__(self, source: Source) -> Image.Image:
        """Decode a file to RGB. Thread-safe.

        Raises `ImageError`, `InputError` for a source that is not a file (a PIL image, an array),
        and OSError when it cannot be read.
        """
        data = read(source)
        kind = sniff(data)
        if kind in ("heic", "tiff"):
            raise ImageError(
                "unsupported_format",
                f"image_decode.opencv does not read {kind.upper()}; use image_decode.pillow, or "
                "send a JPEG or PNG.",
            )
        checked, orientation, transparent = _checked(data, kind)
        try:
            pixels = _decoded(checked)
            if headers.is_short(data, kind):
                # OpenCV returns a partial picture, and fills the rest with grey or garbage.
                raise EOFError("the file's end is missing")
            image = _as_image(pixels)
            if image.mode in ("L", "I;16") and transparent is not None:
                image.info["transparency"] = transparent
            image = to_srgb(image)
        except Exception as error:  # decoders raise arbitrary exceptions for broken input
            raise pillow.failure(data, kind, error) from error
        return pillow.upright(image, orientation)


@functools.cache
def _cv2() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise OperatorUnavailable(
            "image_decode.opencv needs the package opencv-python-headless."
        ) from error
    return cv2


def _checked(data: bytes, kind: str) -> tuple[bytes, int, int | None]:
    """Check the header against all limits.

    Returns the bytes to decode, the EXIF orientation, and the grey value that a PNG declares as
    transparent, which OpenCV ignores.
    """
    try:
        checked = pillow.check_headers(data, kind, pillow.DEFAULT_MAX_PIXELS)
        with contextlib.closing(io.BytesIO(checked)) as file:
            # Pillow reads the header only. Only AVIF allocates pixels here, and its size has
            # already been checked.
            opened = pillow.OPENERS[kind](file)
            pillow.check_pixels(opened.size, pillow.DEFAULT_MAX_PIXELS)
            value = opened.info.get("transparency") if kind == "png" else None
            transparent = value if isinstance(value, int) else None
            if transparent is not None and opened.mode == "1":
                transparent *= 255
            return checked, pillow.orientation(opened), transparent
    except ImageError:
        raise
    except Exception as error:
        raise pillow.failure(data, kind, error) from error


def _decoded(data: bytes) -> NDArray[Any]:
    """Decode the first frame with OpenCV: (H, W) or (H, W, C), in BGR order."""
    cv2 = _cv2()
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    pixels: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise ValueError("OpenCV found no picture")
    return pixels


def _as_image(pixels: NDArray[Any]) -> Image.Image:
    """Convert OpenCV's array to a Pillow image of mode L, I;16, RGB or RGBA."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim == 2 and pixels.dtype in (np.uint8, np.uint16):
        return Image.fromarray(pixels)
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)  # the high byte, as Pillow and libpng do
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise ValueError(f"{pixels.dtype} of shape {pixels.shape} is not supported")
    order = [2, 1, 0, 3][: pixels.shape[2]]
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, order]))
