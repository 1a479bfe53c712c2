"""Alignment of two pictures: one warped onto the other, and how much of the overlap agrees."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.geometry.local_features import LocalFeatures

# Set by `python -m benchmarks geometry`: near-duplicates named so, and others; drift also by the
# kind "same thing" of `python -m benchmarks quality`. Pixels are those of the small pictures.

MAX_SCALE = 32.0  # ratio of sizes; pictures that differ by more are not aligned
MIN_REDUCTION = 1.2  # ratio of detail from which a picture is shrunk before it is warped
_MIN_SIDE = 8  # pixels of the overlap
_WINDOW = 7  # pixels, the side of a window for the local correlation
ALIKE = 0.7  # correlation of two windows
_MIN_TEXTURE = 4.0  # standard deviation in a window, levels of 255: less is noise
_NOISE = 4.0  # variance that resizing and compressing add, square levels of 255
# Minimum to compare, with texture in either picture.
_MIN_PIXELS = 30  # pixels
_MIN_TEXTURED = 0.02  # share of the overlap
# Far more texture in one picture means an overlay: it is left out if enough remains.
_MAX_TEXTURE_RATIO = 2.5  # times the other's variance
_MIN_BARE = 0.15  # share of the textured pixels
_MIN_SHARED = 0.08  # share of the overlap, for pixels with texture in both to decide
# Shading is relative to a window around; where that varies little, the shading is faint.
_AROUND = 15  # pixels, the side of a window
_FAINT = 3.0  # standard deviation, levels of 255
# Drift is measured only where enough agrees: below that, the cause of differences is irrelevant.
_MIN_AGREEMENT_TO_MOVE = 0.25  # share
_MIN_ALIKE_TO_MOVE = 0.6  # correlation of pixels that may be slightly displaced
_MOVED_WINDOW = 25  # pixels, the side of a window
_MOVED_BLUR = 1.0  # pixels, the standard deviation of the blur before
# Where edges run in one direction only, movement cannot be measured.
_MIN_CORNERED = 0.004  # the smaller eigenvalue of the structure tensor, squared shading
_HELD = 0.001  # regularization for weak slopes, squared shading
_MIN_SURE = 150  # pixels, every second one of each row and column
_MIN_SURE_SHARE = 0.2  # share of the overlap
_MIN_MOVE = 0.2  # pixels; shrinking a picture moves it by a fraction of a pixel
# Pictures without texture are compared as a whole, if they have enough contrast.
_MIN_CONTRAST = 4.0  # standard deviation, levels of 255
_MIN_WHOLE_ALIKE = 0.97  # correlation


class Alignment(NamedTuple):
    """Two aligned pictures, RGB as floats, at the detail of the coarser one.

    `common` is the mask of the overlap; `of_query` and `of_other` are its share of each picture.
    """

    query: NDArray[np.float32]
    other: NDArray[np.float32]
    common: NDArray[np.bool_]
    of_query: float
    of_other: float


def lay(
    query: LocalFeatures, other: LocalFeatures, shares: NDArray[np.float64]
) -> Alignment | None:
    """Warp the query's small picture onto the other's; None when they hardly overlap.

    `shares` maps positions in the query (shares of its sides) to positions in the other.
    """
    sizes = [np.array([*one.small.shape[1::-1], 1.0]) for one in (query, other)]
    across = np.diag(sizes[1]) @ shares @ np.diag(1 / sizes[0])
    scale = np.sqrt(abs(np.linalg.det(across[:2, :2])))
    if not 1 / MAX_SCALE < scale < MAX_SCALE:
        return None
    # The one with more detail is warped.
    if scale >= 1:
        moved, mask = _warp(other.small, query.small, np.linalg.inv(across), scale)
        first, second = query.small.astype(np.float32), moved
    else:
        moved, mask = _warp(query.small, other.small, across, 1 / scale)
        first, second = moved, other.small.astype(np.float32)
    rows, columns = mask.any(axis=1), mask.any(axis=0)
    if rows.sum() < _MIN_SIDE or columns.sum() < _MIN_SIDE:
        return None
    top, bottom = np.flatnonzero(rows)[[0, -1]]
    left, right = np.flatnonzero(columns)[[0, -1]]
    cut = np.s_[top : bottom + 1, left : right + 1]
    area = float(mask.sum())
    here, there = sizes[0][:2].prod(), sizes[1][:2].prod()
    grown = scale**2
    of_query = area / (here if scale >= 1 else here * grown)
    of_other = area / (there / grown if scale >= 1 else there)
    return Alignment(first[cut], second[cut], mask[cut], min(1.0, of_query), min(1.0, of_other))


def _warp(
    source: NDArray[np.uint8], onto: NDArray[np.uint8], across: NDArray[Any], finer: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Warp `source`, which has `finer` times the detail, onto `onto`; return it and its mask."""
    import cv2

    height, width = source.shape[:2]
    small: NDArray[Any] = source
    if finer > MIN_REDUCTION:
        size = max(1, round(width / finer)), max(1, round(height / finer))
        small = cv2.resize(source, size, interpolation=cv2.INTER_AREA)
        # From pixel centre to pixel centre.
        across = across @ np.diag([width / size[0], height / size[1], 1])
    middle = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    pixels = (np.linalg.inv(middle) @ across @ middle)[:2]
    size = onto.shape[1::-1]
    moved = cv2.warpAffine(
        small, pixels, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    full = np.full(small.shape[:2], 255, np.uint8)
    mask = cv2.warpAffine(full, pixels, size, flags=cv2.INTER_LINEAR)
    return moved.astype(np.float32), mask > 127


class Compared(NamedTuple):
    """Local comparison of two pictures: correlation and each one's variance, around each pixel."""

    alike: NDArray[np.float32]
    query: NDArray[np.float32]
    other: NDArray[np.float32]


def compare(laid: Alignment) -> Compared:
    """Compare aligned pictures by local correlation, independent of brightness."""
    import cv2

    pair = _greys(laid)
    window = (_WINDOW, _WINDOW)
    means = [cv2.blur(one, window) for one in pair]
    first, second = (
        np.maximum(cv2.blur(one * one, window) - mean * mean, 0)
        for one, mean in zip(pair, means, strict=True)
    )
    together = cv2.blur(pair[0] * pair[1], window) - means[0] * means[1]
    alike = together / np.sqrt((first + _NOISE) * (second + _NOISE))
    return Compared(alike, first, second)


def _greys(laid: Alignment) -> list[NDArray[Any]]:
    import cv2

    both = (laid.query, laid.other)
    return [cv2.GaussianBlur(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY), (3, 3), 0) for one in both]


def inner(laid: Alignment, margin: int) -> NDArray[np.bool_]:
    """Return the mask of the overlap, eroded by `margin` pixels."""
    import cv2

    near = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    return cv2.erode(laid.common.astype(np.uint8), near, borderValue=0) > 0


class Likeness(NamedTuple):
    """How alike two aligned pictures are.

    `agreement`: the share, 0 to 1, of textured pixels that look alike in both. `closeness`: the
    mean correlation (-1 to 1) of pixels with texture in both, 0 where there are hardly any.
    `textured`: the share of pixels with texture in both. `drift`: how much of the remaining
    difference comes from small displacements: pixels times the share of the difference that moving
    would remove; 0 where that is negligible, cannot be measured, or hardly anything agrees.
    """

    agreement: float
    closeness: float
    textured: float
    drift: float


def likeness(laid: Alignment) -> Likeness:
    """Compare the overlap of two aligned pictures.

    Where one has far more texture than the other, it has an overlay: that is left out if enough
    remains. In flat pictures most texture may belong to the overlay: there, pixels with texture
    in both decide.
    """
    compared, inside = compare(laid), inner(laid, _WINDOW // 2)
    first, second = compared.query > _MIN_TEXTURE**2, compared.other > _MIN_TEXTURE**2
    textured, both = inside & (first | second), inside & first & second
    count, shown = int(textured.sum()), max(1, int(inside.sum()))
    if count < max(_MIN_PIXELS, _MIN_TEXTURED * shown):
        return Likeness(_agreement_of_whole(_greys(laid), inside), 0.0, 0.0, 0.0)
    share = float(both.sum() / shown)
    in_both = compared.alike[both]
    alike, one, another = (values[textured] for values in compared)
    more = np.log((one + 2 * _NOISE) / (another + 2 * _NOISE))
    bare = np.abs(more - np.median(more)) < np.log(_MAX_TEXTURE_RATIO)
    if bare.sum() >= max(_MIN_PIXELS, _MIN_BARE * count):
        alike = alike[bare]
    agreeing = float((alike > ALIKE).mean())
    closeness = 0.0
    if len(in_both) >= _MIN_PIXELS and share >= _MIN_SHARED:
        closeness = float(in_both.mean())
        agreeing = max(agreeing, float((in_both > ALIKE).mean()))
    drift = 0.0
    if agreeing > _MIN_AGREEMENT_TO_MOVE:
        drift = _drift(laid, both & (compared.alike > _MIN_ALIKE_TO_MOVE))
    return Likeness(agreeing, closeness, share, drift)


def shade(grey: NDArray[Any], blur: float) -> NDArray[np.float32]:
    """Return shading: grey values normalized by local mean and contrast, whatever the lighting."""
    import cv2

    soft: NDArray[Any] = cv2.GaussianBlur(grey, (0, 0), blur)
    mean = cv2.blur(soft, (_AROUND, _AROUND))
    spread = cv2.blur(soft * soft, (_AROUND, _AROUND)) - mean * mean
    shaded: NDArray[np.float32] = (soft - mean) / np.sqrt(np.maximum(spread, 0) + _FAINT**2)
    return shaded


def slopes(shaded: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the derivatives per pixel, to the right and down."""
    import cv2

    across = cv2.Sobel(shaded, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(shaded, cv2.CV_32F, 0, 1, scale=1 / 8)
    return np.asarray(across), np.asarray(down)


def _drift(laid: Alignment, alike: NDArray[np.bool_]) -> float:
    """Return the drift; see `Likeness`. A copy differs by noise, which moving does not remove; a
    photograph from another viewpoint is displaced in different directions in different places."""
    import cv2

    first, second = (shade(one, _MOVED_BLUR) for one in _greys(laid))
    weights = alike.astype(np.float32)
    right, down = (one * weights for one in slopes((first + second) / 2))
    change = (first - second) * weights
    window = (_MOVED_WINDOW, _MOVED_WINDOW)
    xx, yy, xy, xt, yt, tt = (
        cv2.blur(one * other, window)[::2, ::2]
        for one, other in (
            (right, right), (down, down), (right, down), (right, change), (down, change),
            (change, change),
        )
    )  # fmt: skip
    narrow = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)
    sure = alike[::2, ::2] & (narrow > _MIN_CORNERED)
    if sure.sum() < max(_MIN_SURE, _MIN_SURE_SHARE * laid.common[::2, ::2].sum()):
        return 0.0
    xx, yy, xy, xt, yt, tt = (one[sure] for one in (xx + _HELD, yy + _HELD, xy, xt, yt, tt))
    area = xx * yy - xy * xy
    aside, below = (yy * xt - xy * yt) / area, (xx * yt - xy * xt) / area
    rows, columns = np.nonzero(sure)
    places = np.stack([columns, rows, np.ones(len(rows))], axis=1).astype(np.float32)
    moves = np.stack([aside, below], axis=1)
    # Movement common to all pixels is an error of the transform: subtract it.
    moves -= places @ np.linalg.solve(places.T @ places, places.T @ moves)
    aside, below = moves.T
    moved = float(np.median(np.hypot(aside, below)))
    if moved < _MIN_MOVE:
        return 0.0
    mended = xx * aside**2 + 2 * xy * aside * below + yy * below**2
    return moved * float(np.median(mended / (tt + 1e-6)))


def _agreement_of_whole(pair: list[NDArray[Any]], inside: NDArray[np.bool_]) -> float:
    """Return 1 when two pictures without texture have the same shading, else 0."""
    if inside.sum() < _MIN_PIXELS:
        return 0.0
    first, second = (one[inside] - one[inside].mean() for one in pair)
    spread = first.std(), second.std()
    if min(spread) < _MIN_CONTRAST:
        return 0.0
    return float((first * second).mean() / (spread[0] * spread[1]) > _MIN_WHOLE_ALIKE)
