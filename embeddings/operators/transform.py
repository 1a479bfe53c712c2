"""From a picture of any size to the square of pixels that a model takes."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embeddings.errors import RecipeError

# From this shape on only the part that is kept is resized.
_LONG_AND_THIN = 16

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class ResizeCenterCrop:
    """`image_transform.resize_center_crop`: what timm does for evaluation.

    The short side becomes `size / crop_pct` pixels (rounded down), then the middle
    `size` x `size` is kept. Pillow's filters always antialias; `antialias` must be true.
    """

    def __init__(self, size: int, crop_pct: float, interpolation: str, antialias: bool) -> None:
        if not isinstance(size, int) or size < 1 or not 0 < crop_pct <= 1:
            raise RecipeError(
                f"size must be 1 or more and crop_pct above 0, up to 1; not {size}, {crop_pct}."
            )
        if interpolation not in _FILTERS or antialias is not True:
            raise RecipeError(
                f"interpolation must be one of {', '.join(_FILTERS)}, with antialias true; "
                f"not {interpolation!r}, {antialias}."
            )
        self._size = size
        self._short = math.floor(size / crop_pct)
        self._filter = _FILTERS[interpolation]

    def __call__(self, image: Image.Image) -> NDArray[np.uint8]:
        """RGB picture to uint8 (3, size, size), contiguous. Thread-safe; Pillow drops the GIL."""
        width, height = image.size
        if width <= height:
            scaled = (self._short, int(self._short * height / width))
        else:
            scaled = (int(self._short * width / height), self._short)
        left, top = (round((side - self._size) / 2) for side in scaled)
        if max(scaled) <= _LONG_AND_THIN * self._short:
            # The whole, and then the crop, although Pillow could do both at once: it orders its
            # two passes, which round in between, by the size that is asked for. timm does so too.
            square = image.resize(scaled, self._filter)
            square = square.crop((left, top, left + self._size, top + self._size))
        else:
            # A picture of 100,000,000 x 1 would become one of 25,600,000,000 x 256 on the way.
            across, down = width / scaled[0], height / scaled[1]
            box = (
                max(0.0, left * across),
                max(0.0, top * down),
                min(float(width), (left + self._size) * across),
                min(float(height), (top + self._size) * down),
            )
            square = image.resize((self._size, self._size), self._filter, box=box)
        return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))
