"""The points of a picture that a copy of it shares, with a small picture to compare."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embeddings.errors import EmbeddingsError, InputError

VERSION = 1
_MAGIC = b"LKF"
_HEAD = struct.Struct("<3sBIIHHHI")  # magic, version, width, height, points, small w, small h, crc
_MOST_POINTS = 1024
_LONG_SIDE = 480
_POINTS = 300
_SMALL = 128
_MOST_SMALL = 256


@dataclass(frozen=True)
class LocalFeatures:
    """What of a picture is kept to compare it with others.

    `points` are n × 4: x and y as shares of the sides, size as a share of the long side, angle in
    degrees; `descriptors` n × 128; `small` the picture itself, RGB, at most 128 px long;
    `width` and `height` its size in pixels.
    """

    width: int
    height: int
    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    small: NDArray[np.uint8]

    def to_bytes(self) -> bytes:
        """Everything in one piece, to be kept."""
        height, width = self.small.shape[:2]
        body = zlib.compress(
            self.points.astype("<f2").tobytes() + self.descriptors.tobytes() + self.small.tobytes(),
            1,
        )
        head = _HEAD.pack(
            _MAGIC, VERSION, self.width, self.height, len(self.points), width, height,
            zlib.crc32(body),
        )  # fmt: skip
        return head + body

    @staticmethod
    def from_bytes(data: bytes) -> LocalFeatures:
        """What `to_bytes` wrote. Raises EmbeddingsError (`features_damaged`) for all else."""
        damaged = EmbeddingsError("features_damaged", "These are no local features of a picture.")
        if len(data) < _HEAD.size:
            raise damaged
        magic, version, full_width, full_height, count, width, height, crc = _HEAD.unpack_from(data)
        body = data[_HEAD.size :]
        if (magic, version, zlib.crc32(body)) != (_MAGIC, VERSION, crc):
            raise damaged
        if count > _MOST_POINTS or not (0 < width <= _MOST_SMALL and 0 < height <= _MOST_SMALL):
            raise damaged
        length = count * (8 + 128) + width * height * 3
        opened = zlib.decompressobj()
        try:
            raw = opened.decompress(body, length + 1)
        except zlib.error:
            raise damaged from None
        if len(raw) != length or not full_width or not full_height:
            raise damaged
        points = np.frombuffer(raw, "<f2", count * 4).reshape(count, 4).astype(np.float32)
        descriptors = np.frombuffer(raw, np.uint8, count * 128, count * 8).reshape(count, 128)
        small = np.frombuffer(raw, np.uint8, offset=count * 136).reshape(height, width, 3)
        return LocalFeatures(full_width, full_height, points, descriptors, small)


def local_features(picture: Image.Image) -> LocalFeatures:
    """Find the points of a picture. Thread-safe.

    Raises InputError for what is no picture.
    """
    if not isinstance(picture, Image.Image):
        raise InputError(f"Local features are those of a PIL image, not of {type(picture)}.")
    import cv2

    rgb = picture.convert("RGB")
    size = _fitted(rgb, _LONG_SIDE)
    worked = np.asarray(rgb.resize(size, Image.Resampling.BOX, reducing_gap=2.0))
    grey = cv2.cvtColor(worked, cv2.COLOR_RGB2GRAY)
    found, described = cv2.SIFT.create(_POINTS).detectAndCompute(grey, None)
    found, described = found[:_POINTS], None if described is None else described[:_POINTS]
    points = np.array(
        [
            (one.pt[0] / size[0], one.pt[1] / size[1], one.size / max(size), one.angle)
            for one in found
        ],
        np.float32,
    ).reshape(-1, 4)
    if described is None:
        described = np.zeros((0, 128), np.float32)
    root = np.sqrt(described / np.maximum(described.sum(axis=1, keepdims=True), 1e-6))
    descriptors = np.minimum(np.round(root * 512), 255).astype(np.uint8)
    small = np.asarray(rgb.resize(_fitted(rgb, _SMALL), Image.Resampling.BOX))
    return LocalFeatures(*picture.size, points, descriptors, small)


def _fitted(picture: Image.Image, side: int) -> tuple[int, int]:
    """The size at which neither side is longer than `side`."""
    scale = min(1.0, side / max(picture.size))
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
