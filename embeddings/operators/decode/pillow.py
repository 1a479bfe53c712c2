"""Image decoding with Pillow: bytes to an upright sRGB picture on white, within limits."""

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from embeddings.errors import ImageError, InputError, RecipeError
from embeddings.operators.decode import headers
from embeddings.operators.decode.color import to_srgb
from embeddings.operators.decode.sniff import WANTED, sniff
from embeddings.operators.decode.sources import Source, is_source, read

DEFAULT_MAX_PIXELS = 100_000_000

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNED = frozenset({5, 6, 7, 8})  # orientations that swap width and height


class _TiffImageFile(TiffImagePlugin.TiffImageFile):
    """TIFF without Pillow's own size check; ours has already run."""

    def load_prepare(self) -> None:
        if self._im is None:
            self.im = Image.new(self.mode, self._tile_size).im
        ImageFile.ImageFile.load_prepare(self)


# The classes are called directly instead of through Image.open: the format is already known from
# content, so no other plug-in sees the file, nothing needs to be registered, and Pillow's
# process-wide pixel limit (a warning from 89 megapixels) does not apply. A JPEG with further
# pictures in it (MPO) is read as the JPEG that it begins with.
OPENERS: Mapping[str, Callable[[BinaryIO], ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "tiff": _TiffImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
    "heic": pillow_heif.HeifImageFile,
}

# HEIC codes whole blocks and crops; its header may declare up to this much more per side. The
# cropped size is known, and checked, once the file is open.
_HEIC_PADDING = 63

# Messages by which the libraries report a valid file that they do not support.
_UNSUPPORTED = ("cannot handle", "unknown pixel mode", "unsupported", "not supported")
_TRUNCATED = ("truncated", "end of file", "end-of-file", "no more images", "unexpected end")


@dataclass(frozen=True)
class Decoded:
    """A decoded picture.

    `image` is RGB, upright, sRGB, on white, without metadata; `format` is the file's format
    (jpeg, png, webp, gif, bmp, tiff, avif, heic); `width` and `height` are those of the upright
    picture, which `image` shares unless it was decoded at a reduced scale.
    """

    image: Image.Image
    format: str
    width: int
    height: int


def decode(
    source: Source,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    draft_short_side: int | None = None,
) -> Decoded:
    """Decode a picture; of several frames, the first.

    With `draft_short_side`, a JPEG is decoded at 1/2, 1/4 or 1/8 of its size (a scaled DCT, much
    faster) as long as its short side keeps that many pixels.

    `source` is the file's bytes, its path, or a binary file object (read from its current
    position). The format is detected from content. Pictures of more than `max_pixels` are
    refused before their memory is allocated. A `max_pixels` above 178,956,970 has no effect for
    WebP, where Pillow has that limit of its own. Thread-safe; most of the work releases the GIL.

    Raises `ImageError` for every picture that cannot be used, `InputError` for a source of
    another type, and OSError when the file cannot be read.
    """
    data = read(source)
    kind = sniff(data)
    try:
        data = check_headers(data, kind, max_pixels)
        with contextlib.closing(io.BytesIO(data)) as file:
            opened = OPENERS[kind](file)
            check_pixels(opened.size, max_pixels)
            whole = opened.size
            if draft_short_side is not None and kind == "jpeg":
                _draft(opened, draft_short_side)
            opened.load()
            # Some formats reveal their true size only now.
            check_pixels(opened.size, max_pixels)
            image = standardize(opened)
            if whole == opened.size:
                whole = image.size
            elif orientation(opened) in _TURNED:
                whole = whole[1], whole[0]
    except ImageError:
        raise
    except Exception as error:  # decoders raise arbitrary exceptions for broken input
        raise failure(data, kind, error) from error
    return Decoded(image, kind, *whole)


def picture_size(data: bytes, *, draft_short_side: int | None = None) -> tuple[int, int]:
    """Return the width and height that `decode` would load, from the header alone.

    Raises `ImageError` where the header cannot be read.
    """
    kind = sniff(data)
    try:
        with contextlib.closing(io.BytesIO(data)) as file:
            opened = OPENERS[kind](file)
            if draft_short_side is not None and kind == "jpeg":
                _draft(opened, draft_short_side)
            width, height = opened.size
    except Exception as error:  # decoders raise arbitrary exceptions for broken input
        raise failure(data, kind, error) from error
    return width, height


def _draft(opened: ImageFile.ImageFile, short_side: int) -> None:
    """Make Pillow decode a JPEG at a reduced scale, its short side at least `short_side` pixels."""
    scale = min(opened.size) // short_side
    if scale >= 2:
        # Pillow picks the largest of 2, 4 and 8 that leaves at least this size.
        opened.draft(None, (opened.width // scale, opened.height // scale))


def standardize(image: Image.Image) -> Image.Image:
    """Convert an image opened by Pillow to upright sRGB on white. The image is not changed.

    Raises what `load` raises.
    """
    load(image)
    # Colours first: afterwards there are at most three bytes per pixel to rotate.
    return upright(to_srgb(image), orientation(image))


def load(image: Image.Image) -> None:
    """Make Pillow decode an image that the caller has opened, unless it already has.

    Raises `InputError` for an image that has no pixels or is closed, `ImageError` for a file
    that cannot be decoded, and OSError when it cannot be read.
    """
    if 0 in image.size:
        width, height = image.size
        raise InputError(f"This picture has no pixels: its size is {width} x {height}.")
    try:
        image.load()
    except Exception as error:  # decoders raise arbitrary exceptions for broken input
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk or the network failed; Pillow's own errors have no number
        if _is_closed(image, error):
            raise InputError(
                "This PIL image or its file is closed; use it inside of its `with` block, or "
                "call its load() there."
            ) from error
        raise _explained(image.format or "", error, short=False) from error


def _is_closed(image: Image.Image, error: Exception) -> bool:
    if isinstance(error, AssertionError | AttributeError):  # its `with` block has ended
        return getattr(image, "fp", None) is None
    return isinstance(error, ValueError) and "closed" in str(error)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Rotate and mirror the picture according to an EXIF orientation (1 to 8)."""
    turn = _TRANSPOSE.get(orientation)
    return image if turn is None else image.transpose(turn)


class PillowDecode:
    """`image_decode.pillow`: `decode` and `standardize` as an operator of a recipe."""

    light = True

    def __init__(
        self,
        orientation: str,
        color: str,
        background: str,
        draft_short_side: int | None = None,
    ) -> None:
        if (orientation, color, background) != ("exif", "srgb", "#ffffff"):
            raise RecipeError(
                "image_decode.pillow works with orientation 'exif', color 'srgb' and background "
                f"'#ffffff'; not {orientation!r}, {color!r} and {background!r}."
            )
        if draft_short_side is not None and (
            isinstance(draft_short_side, bool)
            or not isinstance(draft_short_side, int)
            or draft_short_side < 1
        ):
            raise RecipeError(
                f"draft_short_side must be a whole number, 1 or more; not {draft_short_side!r}."
            )
        self._draft_short_side = draft_short_side

    @classmethod
    def canonical(cls, draft_short_side: int | None = None) -> dict[str, object]:
        """Return all parameters; without a draft, those used before drafts existed."""
        parameters: dict[str, object] = {
            "orientation": "exif",
            "color": "srgb",
            "background": "#ffffff",
        }
        if draft_short_side is not None:
            parameters["draft_short_side"] = draft_short_side
        return parameters

    def decode(self, source: Source, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Decoded:
        """Call the function `decode` with this operator's parameters; raises the same."""
        return decode(source, max_pixels=max_pixels, draft_short_side=self._draft_short_side)

    def __call__(self, source: Source | Image.Image | NDArray[np.uint8]) -> Image.Image:
        """Convert a file, an image opened by Pillow, or an array uint8 (H, W, 3), to RGB.

        Raises what `decode` and `standardize` raise, and `InputError` for another array.
        """
        if isinstance(source, np.ndarray):
            source = _from_array(source)
        if isinstance(source, Image.Image):
            check_pixels(source.size, DEFAULT_MAX_PIXELS)
            return standardize(source)
        if not is_source(source):
            raise InputError(
                "A picture must be a path, bytes, a binary file object, a PIL image or a uint8 "
                f"array (height, width, 3); not {type(source).__name__}."
            )
        return self.decode(source).image


def _from_array(array: NDArray[Any]) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise InputError(
            "An array must be uint8 of shape (height, width, 3), in RGB order; this one is "
            f"{array.dtype} of shape {array.shape}."
        )
    if 0 in array.shape:
        raise InputError(f"This array has no pixels: its shape is {array.shape}.")
    return Image.fromarray(np.ascontiguousarray(array))


def check_headers(data: bytes, kind: str, max_pixels: int) -> bytes:
    """Apply the limits to the header before a decoder sees it; return the bytes to decode."""
    size = None
    if kind == "webp":
        size = headers.webp_size(data)
    elif kind in ("avif", "heic"):
        size = headers.isobmff_size(data)
    elif kind == "gif" and (frame := headers.gif_first_frame(data)) is not None:
        size, data = frame
    elif kind == "jpeg" and headers.jpeg_scans(data) > headers.MAX_JPEG_SCANS:
        raise ImageError(
            "hostile",
            f"This JPEG has more than {headers.MAX_JPEG_SCANS} scans, which only serves to keep "
            "a server busy. Save it anew with an image editor and send that.",
        )
    if size is not None:
        check_pixels(size, max_pixels, padding=_HEIC_PADDING if kind == "heic" else 0)
    return data


def check_pixels(size: tuple[int, int], max_pixels: int, padding: int = 0) -> None:
    """Raise `ImageError` when width x height, less `padding` per side, exceeds `max_pixels`."""
    width, height = size
    if max(1, width - padding) * max(1, height - padding) > max_pixels:
        raise ImageError(
            "too_many_pixels",
            f"This picture has {width:,} x {height:,} = {width * height:,} pixels; "
            f"the most that is taken is {max_pixels:,}. Send a smaller copy.",
        )


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 when it is missing or cannot be read."""
    # EXIF that cannot be parsed fails in many ways; a picture is not refused for it.
    with contextlib.suppress(Exception):
        value = image.getexif().get(ExifTags.Base.Orientation)
        if isinstance(value, int) and 1 <= value <= 8:
            return value
    return 1


def failure(data: bytes, kind: str, error: Exception) -> ImageError:
    """Return the error that a decoder's exception means for these bytes of the format `kind`."""
    return _explained(kind, error, headers.is_short(data, kind))


def _explained(kind: str, error: Exception, short: bool) -> ImageError:
    """Map a decoder's exception to an error; `short`: the file is known to be truncated."""
    message = str(error).lower()
    name = {"WEBP": "WebP", "": "picture"}.get(kind.upper(), kind.upper())
    if isinstance(error, Image.DecompressionBombError):
        return ImageError(
            "too_many_pixels", f"This picture has more pixels than can be decoded: {error}"
        )
    if isinstance(error, MemoryError | RecursionError):
        return ImageError(
            "hostile",
            "Decoding this picture takes far more memory than its size explains; it may have "
            "been made to do harm. Save it anew with an image editor and send that.",
        )
    if name == "PNG" and ("max_text" in message or "too much memory used in text" in message):
        return ImageError(
            "hostile",
            "This PNG holds compressed text or a colour profile that unpacks to far more than a "
            "picture needs. Save it anew without metadata and send that.",
        )
    if any(words in message for words in _UNSUPPORTED):
        return ImageError(
            "unsupported_format",
            f"This {name} stores its pixels in a way that is not supported ({error}). "
            f"Save it as an ordinary 8-bit picture; what is taken is {WANTED}.",
        )
    if short or isinstance(error, EOFError) or any(words in message for words in _TRUNCATED):
        return ImageError(
            "truncated",
            f"This {name} ends too early; part of the file is missing. Send the whole file.",
        )
    return ImageError(
        "corrupt",
        f"This {name} is damaged and cannot be decoded. Send an intact copy of it.",
    )
