"""Multi-view embedding: five-crop and flip transforms, and the mean vector of the views."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embeddings.errors import InputError
from embeddings.operators.transform import (
    check_picture,
    checked_size,
    crops,
    resampling,
    scaled_to,
    short_side,
)
from embeddings.runtimes.spec import CPU_BATCH


class FiveCrop:
    """`image_transform.five_crop`: the four corners and the centre of the resized picture.

    The short side becomes `size / crop_pct` pixels (rounded down), as for
    `resize_center_crop`; views are top left, top right, bottom left, bottom right, centre.
    """

    light = True

    def __init__(
        self,
        size: int = 224,
        crop_pct: float = 0.875,
        interpolation: str = "bicubic",
        antialias: bool = True,
    ) -> None:
        self._size = checked_size(size)
        self._short = short_side(size, crop_pct)
        self._filter = resampling(interpolation, antialias)

    def __call__(self, image: Image.Image) -> NDArray[np.uint8]:
        """RGB picture to uint8 (5, 3, size, size), contiguous. Thread-safe.

        Raises what `check_picture` raises.
        """
        check_picture(image)
        scaled = scaled_to(image.size, self._short)
        right, bottom = scaled[0] - self._size, scaled[1] - self._size
        middle = round(right / 2), round(bottom / 2)
        corners = [(0, 0), (right, 0), (0, bottom), (right, bottom), middle]
        return np.stack(crops(image, scaled, corners, self._size, self._filter))


class Flip:
    """`image_transform.flip`: appends the mirror image of each view."""

    light = True

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 (3, S, S) or (V, 3, S, S) to uint8 (2V, 3, S, S), contiguous.

        Mirrored left to right. Raises `InputError` for another shape or dtype.
        """
        views = _views(pixels)
        return np.concatenate([views, views[..., ::-1]])


def embed_views(
    model: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    pixels_list: Sequence[NDArray[np.uint8]],
    max_batch: int = CPU_BATCH,
) -> NDArray[np.float32]:
    """Return one vector per picture, float32 (N, D): the mean of its views' vectors.

    `model` turns uint8 (M, 3, H, W) into float32 (M, D), and is called with the views of all
    pictures together, at most `max_batch` at once. A picture is uint8 (3, H, W), or
    (V, 3, H, W) for V views; V may differ between pictures, H and W may not. Vectors are averaged
    before normalization. An empty list gives an array (0, 0). Raises `InputError` for other
    shapes or dtypes.
    """
    if not len(pixels_list):
        return np.empty((0, 0), np.float32)
    views = [_views(pixels) for pixels in pixels_list]
    try:
        flat = np.concatenate(views)
    except ValueError:
        shapes = ", ".join(sorted({str(view.shape[1:]) for view in views}))
        raise InputError(f"Prepared pictures must have one shape; not {shapes}.") from None
    vectors = np.concatenate(
        [model(flat[start : start + max_batch]) for start in range(0, len(flat), max_batch)]
    )
    if len(vectors) == len(pixels_list):  # one view each: the mean would be a copy
        return vectors
    ends = np.cumsum([len(view) for view in views])
    parts = np.split(vectors, ends[:-1])
    return np.stack([part.mean(axis=0) for part in parts])


def _views(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the pixels as (V, 3, H, W)."""
    array = np.asarray(pixels)
    shape = array.shape
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or shape[-3] != 3 or 0 in shape:
        raise InputError(
            "Prepared pixels must be uint8 of shape (3, height, width), or (views, 3, height, "
            f"width); not {type(pixels).__name__} {array.dtype} of shape {shape}."
        )
    return array if array.ndim == 4 else array[None]
