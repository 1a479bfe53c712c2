"""Salient regions of a picture: boxes around things that one may want to search for alone."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embeddings.errors import InputError
from embeddings.operators.thumbnails import shrink

Region = tuple[float, float, float, float]

_SIDE = 160  # pixels, of the copy that is analysed
_SPECTRAL_SIDE = 64
MAX_REGIONS = 4
# Shares of the picture's area: smaller is a speck, larger is the whole picture.
_MIN_AREA, _MAX_AREA = 0.02, 0.6
_OVERLAP = 0.45


def regions(image: Image.Image, most: int = MAX_REGIONS) -> list[Region]:
    """Return boxes of salient things, the clearest first: left, top, width, height, 0 to 1 each.

    `image` is an RGB picture, as `decode` returns it. Pictures of one single thing and plain
    textures have no regions. Raises `InputError` for objects other than PIL images.
    """
    if not isinstance(image, Image.Image):
        raise InputError(f"Regions are found in a PIL image, not {type(image).__name__}.")
    small = np.asarray(shrink(image, _SIDE))
    height, width = small.shape[:2]
    if min(height, width) < 24:  # a strip, or an icon
        return []
    salient = _saliency(small)
    candidates: list[tuple[float, Region]] = []
    # Strong saliency, and the weaker saliency around it: a thing and its parts.
    for quantile in (0.95, 0.88, 0.78):
        candidates += _boxes(salient, float(np.quantile(salient, quantile)))
    return _best(candidates, most)


def _saliency(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how much each pixel differs from the picture's border and its repeating texture."""
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    spectral = sum(_spectral_residual(lab[..., channel]) for channel in range(3))
    border = _unlike_the_border(lab)
    both = _stretched(np.asarray(spectral)) * 0.6 + _stretched(border) * 0.8
    blurred = cv2.GaussianBlur(both, (0, 0), min(small.shape[:2]) / 30)
    return np.asarray(blurred * _centre(*small.shape[:2]), np.float32)


def _spectral_residual(channel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Spectral residual saliency (Hou and Zhang): a spectrum minus its local average."""
    size = channel.shape[1], channel.shape[0]
    square = cv2.resize(channel, (_SPECTRAL_SIDE, _SPECTRAL_SIDE), interpolation=cv2.INTER_AREA)
    if float(square.std()) < 1.0:
        return np.zeros_like(channel)
    spectrum = np.fft.fft2(square)
    loudness = np.log(np.abs(spectrum) + 1e-6)
    residual = loudness - cv2.blur(loudness, (3, 3))
    back = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    smooth = cv2.GaussianBlur(back, (0, 0), 2.5)
    return np.asarray(cv2.resize(smooth, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _unlike_the_border(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the distance of each colour from those along each side; the nearest side dominates."""
    height, width = lab.shape[:2]
    edge = max(2, min(height, width) // 16)
    sides = lab[:edge], lab[-edge:], lab[:, :edge], lab[:, -edge:]
    distances = []
    for side in sides:
        colors = side.reshape(-1, 3)
        spread = np.cov(colors.T) + 25.0 * np.eye(3)
        away = lab - colors.mean(axis=0)
        distances.append(np.sqrt(np.einsum("hwi,ij,hwj->hw", away, np.linalg.inv(spread), away)))
    stack = np.sort(np.stack(distances), axis=0)
    return np.asarray(stack[:3].mean(axis=0), np.float32)


def _stretched(values: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.quantile(values, (0.05, 0.99))
    if high - low < 1e-9:
        return np.zeros_like(values)
    return np.asarray(np.clip((values - low) / (high - low), 0, 1), np.float32)


def _centre(height: int, width: int) -> NDArray[np.float32]:
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    return np.asarray(1 - 0.3 * np.maximum(down**2, across**2), np.float32)


def _boxes(salient: NDArray[np.float32], threshold: float) -> list[tuple[float, Region]]:
    height, width = salient.shape
    mask = (salient > max(threshold, 0.15)).astype(np.uint8)
    grown = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    number, _, stats, _ = cv2.connectedComponentsWithStats(grown, connectivity=8)
    boxes = []
    for left, top, across, down, area in stats[1:number]:
        if area < 0.3 * across * down:  # a thread, a frame
            continue
        grow_x, grow_y = 0.12 * across + 1, 0.12 * down + 1
        x0, y0 = max(0.0, left - grow_x), max(0.0, top - grow_y)
        x1, y1 = min(width, left + across + grow_x), min(height, top + down + grow_y)
        part = (x1 - x0) * (y1 - y0) / (width * height)
        if not _MIN_AREA <= part <= _MAX_AREA:
            continue
        inside = salient[top : top + down, left : left + across]
        score = float(inside.mean()) * part**0.6
        region = x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height
        boxes.append((score, region))
    return boxes


def _best(candidates: Sequence[tuple[float, Region]], most: int) -> list[Region]:
    chosen: list[Region] = []
    best = max((score for score, _ in candidates), default=0.0)
    for score, region in sorted(candidates, key=lambda each: -each[0]):
        if score >= 0.6 * best and all(_shared(region, other) < _OVERLAP for other in chosen):
            chosen.append(region)
    return [
        (round(left, 4), round(top, 4), round(width, 4), round(height, 4))
        for left, top, width, height in chosen[:most]
    ]


def _shared(one: Region, other: Region) -> float:
    """Return the common area, as a share of the smaller box."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return max(0.0, across) * max(0.0, down) / min(one[2] * one[3], other[2] * other[3])
