"""Whether a way to compute gives the vectors of torch in float32, closely enough to stand beside
them.

The measure is something that everybody accepts: a picture that was saved again as JPEG of quality
95 is still the same picture. A runtime and precision agree where they change the vectors of the
check pictures by half as much as that, in the mean, and no more than that at the 99th percentile.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

CHECK_PICTURES = Path(__file__).parent / "check_pictures"
JPEG_QUALITY = 95
# Shares of what the re-save does. `docs/embeddings.md` has what was measured.
MAX_MEAN_SHARE = 0.5
MAX_P99_SHARE = 1.0
# Changes (1 - cosine) below this are float32's own rounding, whatever the model makes of a re-save.
_ROUNDING = 1e-6
_EDITS: tuple[Callable[[Image.Image], Image.Image], ...] = (
    ImageOps.mirror,
    lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
    lambda picture: ImageOps.crop(picture, picture.width // 5),
    lambda picture: picture.point(lambda value: value * 0.4),  # dark
    lambda picture: picture.point(lambda value: 128 + value * 0.4),  # pale
    lambda picture: ImageOps.grayscale(picture).convert("RGB"),
    ImageOps.invert,
    lambda picture: picture.rotate(10, Image.Resampling.BICUBIC),
)


@dataclass(frozen=True)
class Agreement:
    """How far vectors are from those of torch in float32, as shares of what a re-save changes.

    `mean_share` compares the means of 1 - cosine, `p99_share` the 99th percentiles.
    """

    mean_share: float
    p99_share: float

    @property
    def agrees(self) -> bool:
        """Whether the vectors may stand beside those of the reference."""
        return self.mean_share <= MAX_MEAN_SHARE and self.p99_share <= MAX_P99_SHARE


def check_pixels(height: int, width: int) -> NDArray[np.uint8]:
    """The check pictures, uint8 (64, 3, height, width).

    They are 32 photographs, and behind them the same ones edited: mirrored, turned, cropped, dark,
    pale, grey, inverted or rotated.
    """
    whole = []
    for path in sorted(CHECK_PICTURES.glob("*.jpg")):
        with Image.open(path) as picture:
            whole.append(picture.convert("RGB"))
    edited = [_EDITS[at % len(_EDITS)](picture) for at, picture in enumerate(whole)]
    size = width, height
    return _pixels([one.resize(size, Image.Resampling.BICUBIC) for one in (*whole, *edited)])


def resaved(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same pictures, uint8 (N, 3, H, W), after a re-save as JPEG.

    They are saved at the size at which the model sees them. In a larger file, made smaller for the
    model, a re-save changes less the larger the file is, and in one that was a JPEG of the same
    grid before it changes next to nothing: only at this size is it one measure for all.
    """
    pictures = []
    for one in pixels:
        file = io.BytesIO()
        picture = Image.fromarray(np.ascontiguousarray(one.transpose(1, 2, 0)))
        picture.save(file, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0")
        with Image.open(file) as again:
            pictures.append(again.convert("RGB"))
    return _pixels(pictures)


def agreement(
    reference: NDArray[np.float32],
    of_resaved: NDArray[np.float32],
    other: NDArray[np.float32],
    head: int,
) -> Agreement:
    """How `other` agrees with `reference`; all are (N, D) features of the same N pictures.

    `of_resaved` is what the reference makes of the pictures when re-saved. Where the last `head`
    numbers of a row are those of a head, features and head are compared each for itself, and the
    worse of the two counts. NaN and infinity agree with nothing.
    """
    if not (np.isfinite(of_resaved).all() and np.isfinite(other).all()):
        return Agreement(float("inf"), float("inf"))
    split = reference.shape[1] - head
    parts = (np.s_[:, :split], np.s_[:, split:]) if head else (np.s_[:, :],)
    shares = []
    for part in parts:
        by_resave = _change(reference[part], of_resaved[part])
        by_other = _change(reference[part], other[part])
        shares.append(
            (
                by_other.mean() / max(by_resave.mean(), _ROUNDING),
                np.percentile(by_other, 99) / max(np.percentile(by_resave, 99), _ROUNDING),
            )
        )
    mean_share, p99_share = np.max(shares, axis=0)
    return Agreement(float(mean_share), float(p99_share))


def _pixels(pictures: list[Image.Image]) -> NDArray[np.uint8]:
    """RGB pictures of one size as uint8 (N, 3, H, W)."""
    stacked = np.stack([np.asarray(picture) for picture in pictures])
    return np.ascontiguousarray(stacked.transpose(0, 3, 1, 2))


def _change(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """1 - cosine of each row: half the squared distance on the unit sphere, which is exact for
    small changes, and 0 between two rows of zeros."""
    change: NDArray[np.float64] = ((_unit(one) - _unit(other)) ** 2).sum(axis=1) / 2
    return change


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    exact = vectors.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    unit: NDArray[np.float64] = exact / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
