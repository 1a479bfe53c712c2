"""Local features of a picture: SIFT keypoints and descriptors, and a small picture to compare."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embeddings.errors import InputError
from embeddings.geometry import feature_codec
from embeddings.geometry.jpeg_traces import compression
from embeddings.operators.decode.pillow import standardize

# Version of the `to_bytes` format and of the extraction: other versions do not match well.
VERSION = feature_codec.VERSION

# Set by `python -m benchmarks geometry`: near-duplicates named so, milliseconds a picture, and
# bytes a picture.

# Keypoints are detected in a copy of this long side (pixels), which SIFT itself doubles. A larger
# copy gives more points but no more recognized copies, and takes twice the time.
_LONG_SIDE = 256
# Long and narrow pictures keep at least this short side, up to a maximum long side (pixels).
_MIN_SHORT_SIDE = 48
_MAX_LONG_SIDE = 1024
_MAX_FOUND = 400  # points requested from SIFT
_MAX_KEPT = 200  # points
# SIFT's contrast thresholds. Flat pictures get a second pass with the lower one.
_CONTRASTS = (0.02, 0.006)
_ENOUGH_POINTS = 100
_EDGE = 12
_OCTAVE_LAYERS = 3
# The strongest points are not the best: they may all belong to one line of text. Points are taken
# from each cell in turn, a few at a time.
_CELLS = 6  # in each direction
_AT_A_TIME = 4  # points per turn
# The stored small picture, in pixels.
_SMALL_SIDE = 160
_MIN_SMALL_SHORT_SIDE = 24
_GLANCE_SIDE = 12  # cells in each direction
_SAME_PLACE = 0.02  # long sides
# Boundaries of the four codes to which RootSIFT values (0 to 1) are quantized: two bits match as
# reliably as SIFT's eight.
_LEVELS = (0.03, 0.075, 0.14)


@dataclass(frozen=True, eq=False)
class LocalFeatures:
    """The features stored to compare a picture with others, about 10 KB as bytes.

    `width` and `height`: the picture's size in pixels. `points`: n x 4, x and y as shares of the
    sides (0 to 1), size as a share of the long side, direction in degrees. `descriptors`: n x 128,
    codes 0 to 3. `small`: the picture itself, RGB, with a long side of 160 pixels, or up to 256
    if it is narrow. `compression`: the strength of its JPEG traces, 0 to 100; None if unknown.
    """

    width: int
    height: int
    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    small: NDArray[np.uint8]
    compression: int | None
    _jpeg: bytes

    def to_bytes(self) -> bytes:
        """Serialize the features for storage."""
        return feature_codec.pack(
            feature_codec.FeatureParts(
                self.width,
                self.height,
                self.points,
                self.descriptors,
                self.small,
                self.compression,
            ),
            self._jpeg,
        )

    @staticmethod
    def from_bytes(data: bytes) -> LocalFeatures:
        """Read what `to_bytes` wrote.

        Raises EmbeddingsError: `features_damaged` for anything else, `features_version` for
        data of another version.
        """
        parts, jpeg = feature_codec.unpack(data)
        return LocalFeatures(*parts, jpeg)

    @cached_property
    def sides(self) -> NDArray[np.float64]:
        """Width and height as shares of the long side."""
        return np.array([self.width, self.height]) / max(self.width, self.height)

    @cached_property
    def places(self) -> NDArray[np.float32]:
        """Positions of the points, in long sides."""
        return (self.points[:, :2] * self.sides).astype(np.float32)

    @cached_property
    def neighbours(self) -> NDArray[np.float32]:
        """Marks points at the same position as another, described more than once: 2, else 0."""
        x, y = self.places.T
        near: NDArray[np.bool_] = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2 < _SAME_PLACE**2
        return np.float32(2) * near

    @cached_property
    def glance(self) -> NDArray[np.float32]:
        """Shading of the whole picture in 12 x 12 cells, with mean 0 and length 1."""
        grey = (
            Image.fromarray(self.small)
            .convert("L")
            .resize((_GLANCE_SIDE, _GLANCE_SIDE), Image.Resampling.BOX)
        )
        light = np.asarray(grey, np.float32)
        light = light - light.mean()
        return _shortened(light, float(np.linalg.norm(light)))

    @cached_property
    def grey(self) -> NDArray[np.float32]:
        """The small picture in grey."""
        return np.asarray(Image.fromarray(self.small).convert("L"), np.float32)

    @cached_property
    def directions(self) -> NDArray[np.float32]:
        """Descriptors as unit vectors: their dot product is the similarity of points."""
        codes = self.descriptors.astype(np.float32)
        return _shortened(codes, np.linalg.norm(codes, axis=1, keepdims=True))


def _shortened(vectors: NDArray[np.float32], lengths: Any) -> NDArray[np.float32]:
    shortened: NDArray[np.float32] = vectors / np.maximum(lengths, 1e-6)
    return shortened


def local_features(picture: Image.Image, *, size: tuple[int, int] | None = None) -> LocalFeatures:
    """Extract the local features of a picture. Thread-safe.

    `size` is the picture's full width and height in pixels if `picture` was decoded at a reduced
    scale; its JPEG compression is unknown then. Raises InputError for objects other than
    pictures, and what decoding raises.
    """
    if not isinstance(picture, Image.Image):
        raise InputError(f"Local features are those of a PIL image, not {type(picture).__name__}.")
    rgb = picture if picture.mode == "RGB" else standardize(picture)
    width, height = size or rgb.size
    points, descriptors = _points(rgb)
    small = rgb.resize(_shown(rgb), Image.Resampling.BOX, reducing_gap=2.0)
    jpeg, decoded = feature_codec.shown(small)
    trace = compression(rgb) if rgb.size == (width, height) else None
    return LocalFeatures(
        width, height, feature_codec.rounded(points), descriptors, decoded, trace, jpeg
    )


def _points(rgb: Image.Image) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    import cv2

    worked = rgb.resize(_worked(rgb), Image.Resampling.BOX, reducing_gap=2.0).convert("L")
    for contrast in _CONTRASTS:
        sift = cv2.SIFT.create(_MAX_FOUND, _OCTAVE_LAYERS, contrast, _EDGE)
        keypoints, described = sift.detectAndCompute(np.asarray(worked), None)
        if len(keypoints) >= _ENOUGH_POINTS:
            break
    if not keypoints:
        return np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8)
    sides = np.array([*worked.size, max(worked.size), 1], np.float32)
    points = np.array([(*one.pt, one.size, one.angle) for one in keypoints], np.float32) / sides
    chosen = _spread(points, np.array([one.response for one in keypoints]))
    root = np.sqrt(described[chosen] / np.maximum(described[chosen].sum(1, keepdims=True), 1e-6))
    return points[chosen], np.digitize(root, _LEVELS).astype(np.uint8)


def _spread(points: NDArray[np.float32], responses: NDArray[Any]) -> NDArray[np.intp]:
    """Select the points to keep: strong ones, spread over the picture."""
    order = np.argsort(-responses, kind="stable")
    cells = np.clip((points[order, :2] * _CELLS).astype(int), 0, _CELLS - 1) @ (1, _CELLS)
    # The number of stronger points in the same cell.
    earlier = np.tril(cells[:, None] == cells, -1).sum(axis=1)
    return order[np.argsort(earlier // _AT_A_TIME, kind="stable")][:_MAX_KEPT]


def _worked(picture: Image.Image) -> tuple[int, int]:
    """Return the size of the copy for detection; never larger than the picture."""
    short, long = sorted(picture.size)
    return _fitted(picture, min(max(_LONG_SIDE, _MIN_SHORT_SIDE * long // short), _MAX_LONG_SIDE))


def _shown(picture: Image.Image) -> tuple[int, int]:
    """Return the size of the small picture that is stored."""
    short, long = sorted(picture.size)
    return _fitted(
        picture,
        min(max(_SMALL_SIDE, _MIN_SMALL_SHORT_SIDE * long // short), feature_codec.MAX_SMALL_SIDE),
    )


def _fitted(picture: Image.Image, side: int) -> tuple[int, int]:
    """Return the size at which neither side is longer than `side`."""
    scale = min(1.0, side / max(picture.size))
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
