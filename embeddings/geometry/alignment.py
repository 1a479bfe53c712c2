"""One picture laid on another, in pixels that both have."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.geometry.local_features import LocalFeatures

# Set by `python -m benchmarks geometry`: near-duplicates named so, and others; drift also by the
# kind "same thing" of `python -m benchmarks quality`. Pixels are those of the small pictures.

MAX_SCALE = 32.0  # times as large; pictures that differ by more do not lie on each other
MIN_REDUCTION = 1.2  # times the detail, from which on a picture is made smaller before it is moved
_MIN_SIDE = 8  # pixels of what both show
_WINDOW = 7  # pixels; a window is compared with the one that lies on it
ALIKE = 0.7  # correlation of two windows
_MIN_TEXTURE = 4.0  # standard deviation in a window, levels of 255: less is noise
_NOISE = 4.0  # variance that resizing and compressing add, square levels of 255
# There must be so much to compare, with texture in either picture.
_MIN_PIXELS = 30  # pixels
_MIN_TEXTURED = 0.02  # share of what both show
# Where one has far more texture, something lies on it: that is left out if enough remains.
_MAX_TEXTURE_RATIO = 2.5  # times the other's variance
_MIN_BARE = 0.15  # share of what has texture
_MIN_SHARED = 0.08  # share of what both show, for what has texture in both to decide
# Light and shade are relative to what is around; what varies little there is faint.
_AROUND = 15  # pixels, the side of a window
_FAINT = 3.0  # standard deviation, levels of 255
# Movement is looked for where enough agrees: of what agrees less, it does not matter why.
_MIN_AGREEMENT_TO_MOVE = 0.25  # share
_MIN_ALIKE_TO_MOVE = 0.6  # correlation of what could lie a little beside its place
_MOVED_WINDOW = 25  # pixels, the side of a window
_MOVED_BLUR = 1.0  # pixels, the standard deviation of the blur before
# Where edges run in one direction only, nothing can be said of movement.
_MIN_CORNERED = 0.004  # the smaller eigenvalue of the slopes' products, square light and shade
_HELD = 0.001  # keeps movement small where slopes tell little, square light and shade
_MIN_SURE = 150  # pixels, every second one of each row and column
_MIN_SURE_SHARE = 0.2  # share of what both show
_MIN_MOVE = 0.2  # pixels; making a picture smaller moves it by a part of a pixel
# Pictures without texture are compared as a whole, if there is anything to compare.
_MIN_CONTRAST = 4.0  # standard deviation, levels of 255
_MIN_WHOLE_ALIKE = 0.97  # correlation


class Laid(NamedTuple):
    """Both pictures where they lie on each other, RGB as floats, at the coarser one's detail.

    `common` is where both are; `of_query` and `of_other` which share of each that is.
    """

    query: NDArray[np.float32]
    other: NDArray[np.float32]
    common: NDArray[np.bool_]
    of_query: float
    of_other: float


def lay(query: LocalFeatures, other: LocalFeatures, shares: NDArray[np.float64]) -> Laid | None:
    """Lay the query's small picture on the other's; None where they hardly meet.

    `shares` brings places of the query (shares of its sides) to the other's.
    """
    sizes = [np.array([*one.small.shape[1::-1], 1.0]) for one in (query, other)]
    across = np.diag(sizes[1]) @ shares @ np.diag(1 / sizes[0])
    scale = np.sqrt(abs(np.linalg.det(across[:2, :2])))
    if not 1 / MAX_SCALE < scale < MAX_SCALE:
        return None
    # The one that shows more detail comes to the other.
    if scale >= 1:
        moved, held = _warp(other.small, query.small, np.linalg.inv(across), scale)
        first, second = query.small.astype(np.float32), moved
    else:
        moved, held = _warp(query.small, other.small, across, 1 / scale)
        first, second = moved, other.small.astype(np.float32)
    rows, columns = held.any(axis=1), held.any(axis=0)
    if rows.sum() < _MIN_SIDE or columns.sum() < _MIN_SIDE:
        return None
    top, bottom = np.flatnonzero(rows)[[0, -1]]
    left, right = np.flatnonzero(columns)[[0, -1]]
    cut = np.s_[top : bottom + 1, left : right + 1]
    area = float(held.sum())
    here, there = sizes[0][:2].prod(), sizes[1][:2].prod()
    grown = scale**2
    of_query = area / (here if scale >= 1 else here * grown)
    of_other = area / (there / grown if scale >= 1 else there)
    return Laid(first[cut], second[cut], held[cut], min(1.0, of_query), min(1.0, of_other))


def _warp(
    source: NDArray[np.uint8], onto: NDArray[np.uint8], across: NDArray[Any], finer: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """`source` as it lies on `onto`, and where it does; it has `finer` times the detail."""
    import cv2

    height, width = source.shape[:2]
    small: NDArray[Any] = source
    if finer > MIN_REDUCTION:
        size = max(1, round(width / finer)), max(1, round(height / finer))
        small = cv2.resize(source, size, interpolation=cv2.INTER_AREA)
        # From the middle of a pixel to the middle of one.
        across = across @ np.diag([width / size[0], height / size[1], 1])
    middle = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    pixels = (np.linalg.inv(middle) @ across @ middle)[:2]
    size = onto.shape[1::-1]
    moved = cv2.warpAffine(
        small, pixels, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    full = np.full(small.shape[:2], 255, np.uint8)
    held = cv2.warpAffine(full, pixels, size, flags=cv2.INTER_LINEAR)
    return moved.astype(np.float32), held > 127


class Compared(NamedTuple):
    """Two pictures compared in a window around each pixel: correlation, and variance in each."""

    alike: NDArray[np.float32]
    query: NDArray[np.float32]
    other: NDArray[np.float32]


def compare(laid: Laid) -> Compared:
    """Compare what lies on each other by its light and shade, however bright it is."""
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


def _greys(laid: Laid) -> list[NDArray[Any]]:
    import cv2

    both = (laid.query, laid.other)
    return [cv2.GaussianBlur(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY), (3, 3), 0) for one in both]


def inner(laid: Laid, margin: int) -> NDArray[np.bool_]:
    """What both show, less `margin` pixels at its edges."""
    import cv2

    near = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    return cv2.erode(laid.common.astype(np.uint8), near, borderValue=0) > 0


class Likeness(NamedTuple):
    """How alike two pictures are where they lie on each other.

    `agreement`: the share, 0 to 1, of what has texture that looks alike in both. `closeness`: the
    mean correlation (-1 to 1) of what has texture in both, 0 where that is hardly anything.
    `textured`: the share that has texture in both. `drift`: how much of what still differs comes
    of places that lie a little beside each other: pixels times the share that moving them would
    mend; 0 where that is next to nothing, too little to tell, or hardly anything agrees.
    """

    agreement: float
    closeness: float
    textured: float
    drift: float


def likeness(laid: Laid) -> Likeness:
    """Compare what both show.

    Where one has far more texture than the other, something lies on one of them: that is left
    out, as long as enough remains. In flat pictures, what lies on one may be most of what has
    texture: there, what has texture in both decides.
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
    """Light and shade relative to what is around, whatever light it was taken in."""
    import cv2

    soft: NDArray[Any] = cv2.GaussianBlur(grey, (0, 0), blur)
    mean = cv2.blur(soft, (_AROUND, _AROUND))
    spread = cv2.blur(soft * soft, (_AROUND, _AROUND)) - mean * mean
    shaded: NDArray[np.float32] = (soft - mean) / np.sqrt(np.maximum(spread, 0) + _FAINT**2)
    return shaded


def slopes(shaded: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """By how much it changes from one pixel to the next, to the right and down."""
    import cv2

    across = cv2.Sobel(shaded, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(shaded, cv2.CV_32F, 0, 1, scale=1 / 8)
    return np.asarray(across), np.asarray(down)


def _drift(laid: Laid, alike: NDArray[np.bool_]) -> float:
    """See `Likeness`: a copy differs by noise, which no movement mends; what was photographed
    from another place lies beside itself, here to this side and there to that."""
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
    # What all of it does together is the map's fault.
    moves -= places @ np.linalg.solve(places.T @ places, places.T @ moves)
    aside, below = moves.T
    moved = float(np.median(np.hypot(aside, below)))
    if moved < _MIN_MOVE:
        return 0.0
    mended = xx * aside**2 + 2 * xy * aside * below + yy * below**2
    return moved * float(np.median(mended / (tt + 1e-6)))


def _agreement_of_whole(pair: list[NDArray[Any]], inside: NDArray[np.bool_]) -> float:
    """1 where two pictures without texture have the same light and shade, else 0."""
    if inside.sum() < _MIN_PIXELS:
        return 0.0
    first, second = (one[inside] - one[inside].mean() for one in pair)
    spread = first.std(), second.std()
    if min(spread) < _MIN_CONTRAST:
        return 0.0
    return float((first * second).mean() / (spread[0] * spread[1]) > _MIN_WHOLE_ALIKE)
