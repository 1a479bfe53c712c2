"""The points of a picture that a copy of it shares, with a small picture to compare."""

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

# Of what `to_bytes` writes, and of how the features are found: others do not match well.
VERSION = feature_codec.VERSION

# Set by `python -m benchmarks geometry`: near-duplicates named so, milliseconds a picture, and
# bytes a picture.

# Points are looked for in a copy of this long side (pixels). SIFT doubles it once more by itself;
# in a larger one it finds more points and names no more copies, and takes twice the time.
_LONG_SIDE = 256
# Long and narrow pictures keep a short side with room for points, up to a long side (pixels).
_MIN_SHORT_SIDE = 48
_MAX_LONG_SIDE = 1024
_MAX_FOUND = 400  # points that SIFT is asked for
_MAX_KEPT = 200  # points
# SIFT's thresholds. Flat pictures are looked at once more, for fainter points.
_CONTRASTS = (0.02, 0.006)
_ENOUGH_POINTS = 100
_EDGE = 12
_OCTAVE_LAYERS = 3
# The strongest points are not the best ones: of a written line they would be all. From each of
# these cells in turn, a few at a time.
_CELLS = 6  # in each direction
_AT_A_TIME = 4  # points
# The small picture that is kept, in pixels.
_SMALL_SIDE = 160
_MIN_SMALL_SHORT_SIDE = 24
_GLANCE_SIDE = 12  # places in each direction
_SAME_PLACE = 0.02  # long sides
# Where a value of RootSIFT's (0 to 1) belongs to the second, third and fourth of four codes:
# two bits match as surely as the eight of SIFT.
_LEVELS = (0.03, 0.075, 0.14)


@dataclass(frozen=True, eq=False)
class LocalFeatures:
    """What of a picture is kept to compare it with others, some 10 KB as bytes.

    `width` and `height`: its size in pixels. `points`: n × 4, x and y as shares of the sides
    (0 to 1), size as a share of the long side, direction in degrees. `descriptors`: n × 128,
    what is around each point, 0 to 3. `small`: the picture itself, RGB, 160 pixels long, or up
    to 256 where it is narrow.
    `compression`: how strong a trace of JPEG it bears, 0 to 100; None where that is unknown.
    """

    width: int
    height: int
    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    small: NDArray[np.uint8]
    compression: int | None
    _jpeg: bytes

    def to_bytes(self) -> bytes:
        """Everything in one piece, to be kept."""
        return feature_codec.pack(
            feature_codec.Parts(
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
        """Return what `to_bytes` wrote.

        Raises EmbeddingsError: `features_damaged` for anything else, `features_version` for what
        another version wrote.
        """
        parts, jpeg = feature_codec.unpack(data)
        return LocalFeatures(*parts, jpeg)

    @cached_property
    def sides(self) -> NDArray[np.float64]:
        """Width and height as shares of the long side."""
        return np.array([self.width, self.height]) / max(self.width, self.height)

    @cached_property
    def places(self) -> NDArray[np.float32]:
        """Where the points are, in long sides."""
        return (self.points[:, :2] * self.sides).astype(np.float32)

    @cached_property
    def neighbours(self) -> NDArray[np.float32]:
        """Which points lie in one place, described more than once: 2 for those, else 0."""
        x, y = self.places.T
        near: NDArray[np.bool_] = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2 < _SAME_PLACE**2
        return np.float32(2) * near

    @cached_property
    def glance(self) -> NDArray[np.float32]:
        """Light and shade of the whole picture in 12 × 12 places, of mean 0 and length 1."""
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
        """The small picture without colour."""
        return np.asarray(Image.fromarray(self.small).convert("L"), np.float32)

    @cached_property
    def directions(self) -> NDArray[np.float32]:
        """Of length 1: what points have in common is their product."""
        codes = self.descriptors.astype(np.float32)
        return _shortened(codes, np.linalg.norm(codes, axis=1, keepdims=True))


def _shortened(vectors: NDArray[np.float32], lengths: Any) -> NDArray[np.float32]:
    shortened: NDArray[np.float32] = vectors / np.maximum(lengths, 1e-6)
    return shortened


def local_features(picture: Image.Image, *, size: tuple[int, int] | None = None) -> LocalFeatures:
    """Find the local features of a picture. Thread-safe.

    `size` is the picture's full one, width and height in pixels, where `picture` was made smaller
    when it was decoded. What it was compressed with cannot be seen then.
    Raises InputError for what is no picture, and what decoding raises.
    """
    if not isinstance(picture, Image.Image):
        raise InputError(f"Local features are those of a PIL image, not {type(picture).__name__}.")
    rgb = picture if picture.mode == "RGB" else standardize(picture)
    width, height = size or rgb.size
    points, descriptors = _points(rgb)
    small = rgb.resize(_shown(rgb), Image.Resampling.BOX, reducing_gap=2.0)
    jpeg, kept = feature_codec.shown(small)
    trace = compression(rgb) if rgb.size == (width, height) else None
    return LocalFeatures(
        width, height, feature_codec.rounded(points), descriptors, kept, trace, jpeg
    )


def _points(rgb: Image.Image) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    import cv2

    worked = rgb.resize(_worked(rgb), Image.Resampling.BOX, reducing_gap=2.0).convert("L")
    for contrast in _CONTRASTS:
        sift = cv2.SIFT.create(_MAX_FOUND, _OCTAVE_LAYERS, contrast, _EDGE)
        found, described = sift.detectAndCompute(np.asarray(worked), None)
        if len(found) >= _ENOUGH_POINTS:
            break
    if not found:
        return np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8)
    sides = np.array([*worked.size, max(worked.size), 1], np.float32)
    points = np.array([(*one.pt, one.size, one.angle) for one in found], np.float32) / sides
    chosen = _spread(points, np.array([one.response for one in found]))
    root = np.sqrt(described[chosen] / np.maximum(described[chosen].sum(1, keepdims=True), 1e-6))
    return points[chosen], np.digitize(root, _LEVELS).astype(np.uint8)


def _spread(points: NDArray[np.float32], responses: NDArray[Any]) -> NDArray[np.intp]:
    """The points to keep: strong ones, from everywhere."""
    order = np.argsort(-responses, kind="stable")
    cells = np.clip((points[order, :2] * _CELLS).astype(int), 0, _CELLS - 1) @ (1, _CELLS)
    # How many stronger ones each has in its own cell.
    earlier = np.tril(cells[:, None] == cells, -1).sum(axis=1)
    return order[np.argsort(earlier // _AT_A_TIME, kind="stable")][:_MAX_KEPT]


def _worked(picture: Image.Image) -> tuple[int, int]:
    """The size of the copy in which points are looked for; never larger than the picture."""
    short, long = sorted(picture.size)
    return _fitted(picture, min(max(_LONG_SIDE, _MIN_SHORT_SIDE * long // short), _MAX_LONG_SIDE))


def _shown(picture: Image.Image) -> tuple[int, int]:
    """The size of the small picture that is kept."""
    short, long = sorted(picture.size)
    return _fitted(
        picture,
        min(max(_SMALL_SIDE, _MIN_SMALL_SHORT_SIDE * long // short), feature_codec.MAX_SMALL_SIDE),
    )


def _fitted(picture: Image.Image, side: int) -> tuple[int, int]:
    """The size at which neither side is longer than `side`."""
    scale = min(1.0, side / max(picture.size))
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
