"""Image transforms: resize, crop, squash or letterbox a picture to a model's square input."""

import math
import re
import reprlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embeddings.errors import InputError, RecipeError
from embeddings.operators.decode.pillow import load

# From this aspect ratio on, only the part that is kept is resized.
_LONG_AND_THIN = 16

_MAX_SIZE = 4096
_MIN_CROP = 0.05
_MAX_SHORT = 65_536

# From this reduction factor on, a picture is averaged before it is filtered.
_MAX_RATIO = 1000

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class ResizeCenterCrop:
    """`image_transform.resize_center_crop`: timm's transform for evaluation.

    The short side becomes `size / crop_pct` pixels (rounded down), then the central
    `size` x `size` is kept. Pillow's filters always antialias; `antialias` must be true. With
    `crop_first` only the centre is resized, in half the time: the same but for rounding, and for
    the corner of the crop, which may lie between two pixels.
    """

    light = True

    def __init__(
        self,
        size: int,
        crop_pct: float,
        interpolation: str,
        antialias: bool,
        crop_first: bool = False,
    ) -> None:
        if not isinstance(crop_first, bool):
            raise RecipeError(f"crop_first must be true or false, not {crop_first!r}.")
        self._size = checked_size(size)
        self._short = short_side(size, crop_pct)
        self._filter = resampling(interpolation, antialias)
        self._crop_first = crop_first

    @classmethod
    def canonical(
        cls,
        size: int = 224,
        crop_pct: float = 0.875,
        interpolation: str = "bicubic",
        antialias: bool = True,
        crop_first: bool = False,
    ) -> dict[str, object]:
        """Return all parameters; without `crop_first`, those used before it existed."""
        parameters: dict[str, object] = {
            "size": size,
            "crop_pct": crop_pct,
            "interpolation": interpolation,
            "antialias": antialias,
        }
        return {**parameters, "crop_first": True} if crop_first else parameters

    def __call__(self, image: Image.Image) -> NDArray[np.uint8]:
        """RGB picture to uint8 (3, size, size), contiguous. Thread-safe; Pillow releases the GIL.

        Raises what `check_picture` raises.
        """
        check_picture(image)
        across, down = scaled = scaled_to(image.size, self._short)
        corner = round((across - self._size) / 2), round((down - self._size) / 2)
        return crops(image, scaled, [corner], self._size, self._filter, self._crop_first)[0]


class Squash:
    """`image_transform.squash`: the whole picture as `size` x `size`, ignoring its aspect ratio."""

    light = True

    def __init__(
        self, size: int = 224, interpolation: str = "bicubic", antialias: bool = True
    ) -> None:
        self._size = checked_size(size)
        self._filter = resampling(interpolation, antialias)

    def __call__(self, image: Image.Image) -> NDArray[np.uint8]:
        """RGB picture to uint8 (3, size, size), contiguous. Thread-safe.

        Raises what `check_picture` raises.
        """
        check_picture(image)
        return to_pixels(_resized(image, (self._size, self._size), self._filter))


class Letterbox:
    """`image_transform.letterbox`: the whole picture centred in `size` x `size`.

    The long side becomes `size` pixels, enlarged if necessary; the border has the colour
    `fill`, as "#rrggbb".
    """

    light = True

    def __init__(
        self,
        size: int = 224,
        fill: str = "#808080",
        interpolation: str = "bicubic",
        antialias: bool = True,
    ) -> None:
        if not isinstance(fill, str) or re.fullmatch("#[0-9a-f]{6}", fill) is None:
            raise RecipeError(f"fill must be a colour as '#rrggbb' in small letters, not {fill!r}.")
        self._size = checked_size(size)
        self._fill = fill
        self._filter = resampling(interpolation, antialias)

    def __call__(self, image: Image.Image) -> NDArray[np.uint8]:
        """RGB picture to uint8 (3, size, size), contiguous. Thread-safe.

        Raises what `check_picture` raises.
        """
        check_picture(image)
        scale = self._size / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        square = Image.new("RGB", (self._size, self._size), self._fill)
        inside = _resized(image, (width, height), self._filter)
        square.paste(inside, ((self._size - width) // 2, (self._size - height) // 2))
        return to_pixels(square)


def _resized(image: Image.Image, size: tuple[int, int], filter_: Image.Resampling) -> Image.Image:
    """Return the whole picture, resized."""
    # Pillow's filters have weights of 22 bits: at reductions of a hundred thousand and more, as for
    # a picture of 100,000,000 x 1, the rounded weights no longer add up to 1.
    across, down = (
        max(1, side // (_MAX_RATIO * new)) for side, new in zip(image.size, size, strict=True)
    )
    if max(across, down) > 1:
        image = image.reduce((across, down))
    return image.resize(size, filter_)


def to_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Return an RGB picture as uint8 (3, H, W), contiguous."""
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def check_picture(image: Image.Image) -> None:
    """Raise `InputError` unless this is an RGB picture with pixels, and what `load` raises."""
    requirement = "A transform takes an RGB picture, as image_decode gives it"
    if not isinstance(image, Image.Image):
        raise InputError(f"{requirement}; not {type(image).__name__}.")
    if image.mode != "RGB":
        raise InputError(f"{requirement}; this is mode {image.mode}.")
    load(image)


def checked_size(size: int) -> int:
    """Return the side of a model's square input. Raises `RecipeError` below 1 and above 4096."""
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= _MAX_SIZE:
        raise RecipeError(
            f"size must be a whole number of pixels, 1 to {_MAX_SIZE}; not {reprlib.repr(size)}."
        )
    return size


def short_side(size: int, crop_pct: float) -> int:
    """Return the short side of which `size` is the share `crop_pct`. Raises `RecipeError`."""
    if (
        isinstance(crop_pct, bool)
        or not isinstance(crop_pct, int | float)
        or not _MIN_CROP <= crop_pct <= 1
    ):
        raise RecipeError(
            f"crop_pct must be a number, {_MIN_CROP} to 1; not {reprlib.repr(crop_pct)}."
        )
    short = math.floor(size / crop_pct)
    if short > _MAX_SHORT:
        raise RecipeError(
            f"A size of {size} with a crop_pct of {crop_pct} makes the short side {short:,} "
            f"pixels; {_MAX_SHORT:,} is the most: choose a smaller size or a larger crop_pct."
        )
    return short


def resampling(interpolation: str, antialias: bool) -> Image.Resampling:
    """Return Pillow's filter of that name. Raises `RecipeError`."""
    # A tuple, because the value may be unhashable.
    if interpolation not in tuple(_FILTERS) or antialias is not True:
        raise RecipeError(
            f"interpolation must be one of {', '.join(_FILTERS)}, with antialias true; "
            f"not {interpolation!r}, {antialias}."
        )
    return _FILTERS[interpolation]


def scaled_to(size: tuple[int, int], short: int) -> tuple[int, int]:
    """Return width and height for a short side of `short` pixels, rounded as timm does."""
    width, height = size
    if width <= height:
        return short, int(short * height / width)
    return int(short * width / height), short


def crops(
    image: Image.Image,
    scaled: tuple[int, int],
    corners: list[tuple[int, int]],
    size: int,
    filter_: Image.Resampling,
    crop_first: bool = False,
) -> list[NDArray[np.uint8]]:
    """Crop squares from the picture resized to `scaled`, uint8 (3, size, size) each.

    `corners` are their left and top pixels. The whole picture is resized unless `crop_first` is
    true or the picture is very long and thin.
    """
    if not crop_first and max(scaled) <= _LONG_AND_THIN * min(scaled):
        # Resize, then crop, although Pillow can do both at once: it orders its two passes, which
        # round in between, by the requested size. timm does the same.
        whole = image.resize(scaled, filter_)
        return [
            to_pixels(whole.crop((left, top, left + size, top + size))) for left, top in corners
        ]
    # A picture of 100,000,000 x 1 would become 25,600,000,000 x 256 in between.
    width, height = image.size
    across, down = width / scaled[0], height / scaled[1]
    boxes = [
        (
            max(0.0, left * across),
            max(0.0, top * down),
            min(float(width), (left + size) * across),
            min(float(height), (top + size) * down),
        )
        for left, top in corners
    ]
    return [to_pixels(image.resize((size, size), filter_, box=box)) for box in boxes]
