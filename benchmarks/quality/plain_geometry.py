"""Comparison of two images by SIFT keypoints and RANSAC: the peer of `quality.geometry`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

_LONG_SIDE, _POINTS = 480, 800
_RATIO, _PIXELS = 0.8, 6.0
_SIDE, _BLOCK = 96, 12


class Plain(NamedTuple):
    """An image and its mirror image: keypoints, RootSIFT descriptors, and grey pixels."""

    points: Sequence[NDArray[np.float32]]
    described: Sequence[NDArray[np.float32]]
    greys: Sequence[NDArray[np.uint8]]

    def bytes(self) -> int:
        """Storage per image; without the mirror image, which only the query needs."""
        return self.points[0].nbytes + self.described[0].nbytes + _SIDE * _SIDE


def keep(picture: Image.Image) -> Plain:
    """Find 800 SIFT keypoints in an image of 480 pixels, and in its mirror image."""
    scale = min(1.0, _LONG_SIDE / max(picture.size))
    sides = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    grey = np.asarray(picture.convert("L").resize(sides, Image.Resampling.BOX))
    points, described, greys = list[Any](), list[Any](), list[Any]()
    for one in (grey, np.ascontiguousarray(grey[:, ::-1])):
        keypoints, values = cv2.SIFT.create(_POINTS).detectAndCompute(one, None)
        values = values if keypoints else np.zeros((0, 128), np.float32)
        described.append(np.sqrt(values / np.maximum(values.sum(axis=1, keepdims=True), 1e-6)))
        points.append(np.array([key.pt for key in keypoints], np.float32).reshape(-1, 2))
        greys.append(one)
    return Plain(points, described, greys)


def compare(query: Plain, other: Plain) -> tuple[int, float]:
    """Return the inliers of a similarity transform, mirrored if better, and the share of blocks
    that agree."""
    best = (0, 0.0)
    for points, described, grey in zip(*query, strict=True):
        if min(len(points), len(other.points[0])) < 4:
            continue
        pairs = cv2.BFMatcher().knnMatch(described, other.described[0], k=2)
        good = [one for one, another in pairs if one.distance < _RATIO * another.distance]
        if len(good) < 4:
            continue
        start = points[[pair.queryIdx for pair in good]]
        end = other.points[0][[pair.trainIdx for pair in good]]
        transform, inside = cv2.estimateAffinePartial2D(start, end, ransacReprojThreshold=_PIXELS)
        if transform is not None and int(inside.sum()) > best[0]:
            best = (int(inside.sum()), _alike(grey, other.greys[0], transform))
    return best


def _alike(grey: NDArray[np.uint8], other: NDArray[np.uint8], transform: NDArray[Any]) -> float:
    sides = other.shape[1::-1]
    laid = _blocks(cv2.warpAffine(grey, transform, sides))
    shown = _blocks(other)
    here = _blocks(cv2.warpAffine(np.full_like(grey, 255), transform, sides))
    first, second = (one - one.mean(axis=1, keepdims=True) for one in (laid, shown))
    spread, another = first.std(axis=1), second.std(axis=1)
    textured = (here.min(axis=1) > 250) & (spread > 4) & (another > 4)
    if textured.sum() < 4:
        return 0.0
    alike = (first * second).mean(axis=1)[textured] / (spread * another)[textured]
    return float((alike > 0.7).mean())


def _blocks(array: NDArray[Any]) -> NDArray[np.float32]:
    small = cv2.resize(array, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    count = _SIDE // _BLOCK
    cut = small.reshape(count, _BLOCK, count, _BLOCK).transpose(0, 2, 1, 3)
    return cut.reshape(count * count, -1).astype(np.float32)
