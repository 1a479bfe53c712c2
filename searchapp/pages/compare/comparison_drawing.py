"""SVG drawings of a comparison: one image overlaid on the other, and their matched keypoints.

All numbers are SVG attributes computed here: pages have no inline styles and work without scripts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from embeddings.heatmaps.palette import COLOURS
from searchapp.services.compare.pair_comparison import ComparedPicture
from searchapp.services.search.verification import GeometrySummary, Place

Size = tuple[int, int]
_UNKNOWN = (4, 3)
# Height of a drawing of keypoints, and the gap between its images.
_HEIGHT, _GAP = 360.0, 24.0
# How far an overlaid image may reach beyond the other, in sides of the latter.
_BEYOND = 2.0
_LONG = 1000.0  # the long side of an image in its own drawing


@dataclass(frozen=True)
class Drawn:
    """An image in its own drawing: sides in units of the drawing, and its part of the file."""

    shown: Any
    width: str
    height: str
    part: str  # the viewBox that cuts its box from the whole
    pixels: str  # '640 × 480'


def _number(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def part_of(side: ComparedPicture) -> str:
    return " ".join(_number(share) for share in (side.box.numbers if side.box else (0, 0, 1, 1)))


def size_of(side: ComparedPicture) -> Size:
    """Return the size of a side, from its database row."""
    image = side.image
    if image is None or not image.width or not image.height:
        return _UNKNOWN
    if side.box is None:
        return image.width, image.height
    left, top, right, bottom = side.box.pixels(image.width, image.height)
    return right - left, bottom - top


def sides(shown: Sequence[Any], sizes: Sequence[Size]) -> list[Drawn]:
    drawn = []
    for one, (width, height) in zip(shown, sizes, strict=True):
        scale = _LONG / max(width, height)
        pixels = "" if (width, height) == _UNKNOWN else f"{width} × {height}"
        drawn.append(
            Drawn(
                one,
                _number(max(1.0, width * scale)),
                _number(max(1.0, height * scale)),
                part_of(one.side),
                pixels,
            )
        )
    return drawn


@dataclass(frozen=True)
class OverlaidPicture:
    """The first image overlaid on the second; the second's long side is `_LONG`."""

    box: str  # the viewBox
    left: str
    top: str
    width: str
    height: str
    first: str  # matrices that map the unit square to the image
    second: str
    is_aligned: bool


def laid(geometry: GeometrySummary, first: Size, second: Size) -> OverlaidPicture:
    """Overlay the first on the second by their geometry; without one, centre it."""
    scale = _LONG / max(second)
    width, height = second[0] * scale, second[1] * scale
    transform = geometry.transform
    is_aligned = transform is not None and all(
        math.isfinite(one) for row in transform for one in row
    )
    if transform is None or not is_aligned:
        fit = min(width / first[0], height / first[1])
        wide, high = first[0] * fit, first[1] * fit
        matrix = (wide, 0.0, 0.0, high, (width - wide) / 2, (height - high) / 2)
    else:
        (a, b, x), (c, d, y) = transform
        matrix = (a * width, c * height, b * width, d * height, x * width, y * height)
    corners = [_at(matrix, place) for place in ((0, 0), (1, 0), (1, 1), (0, 1))]
    left = max(-_BEYOND * width, min(0.0, *(x for x, _ in corners)))
    top = max(-_BEYOND * height, min(0.0, *(y for _, y in corners)))
    right = min((1 + _BEYOND) * width, max(width, *(x for x, _ in corners)))
    bottom = min((1 + _BEYOND) * height, max(height, *(y for _, y in corners)))
    frame = [_number(one) for one in (left, top, right - left, bottom - top)]
    return OverlaidPicture(
        box=" ".join(frame),
        left=frame[0],
        top=frame[1],
        width=frame[2],
        height=frame[3],
        first=" ".join(map(_number, matrix)),
        second=" ".join(map(_number, (width, 0, 0, height, 0, 0))),
        is_aligned=is_aligned,
    )


def _at(matrix: Sequence[float], place: Place) -> Place:
    a, b, c, d, e, f = matrix
    return a * place[0] + c * place[1] + e, b * place[0] + d * place[1] + f


@dataclass(frozen=True)
class Pair:
    x: str
    y: str
    to_x: str
    to_y: str
    colour: str


@dataclass(frozen=True)
class Points:
    """Both images side by side, with lines between matched keypoints."""

    width: str
    height: str
    first: str  # widths of the two
    second: str
    start: str  # left edge of the second
    pairs: list[Pair]
    outline: str  # of the first image in the second; empty where it covers all of it


def points(geometry: GeometrySummary, first: Size, second: Size) -> Points | None:
    """Draw the matched keypoints; None where there are none."""
    if not geometry.keypoints or geometry.transform is None:
        return None
    wide, other = (_HEIGHT * size[0] / size[1] for size in (first, second))
    widest = 6 * _HEIGHT  # a wider panorama is compressed to this
    wide, other = min(wide, widest), min(other, widest)
    start = wide + _GAP
    number = max(1, len(geometry.keypoints) - 1)
    # Colours follow the keypoints from left to right, so that crossing lines differ in colour.
    ordered = sorted(geometry.keypoints, key=lambda pair: pair[0][0])
    pairs = [
        Pair(
            _number(here[0] * wide),
            _number(here[1] * _HEIGHT),
            _number(start + there[0] * other),
            _number(there[1] * _HEIGHT),
            COLOURS[2 + round((len(COLOURS) - 3) * place / number)],
        )
        for place, (here, there) in enumerate(ordered)
    ]
    corners = [
        f"{_number(start + x * other)},{_number(y * _HEIGHT)}" for x, y in geometry.outline or ()
    ]
    return Points(
        _number(start + other),
        _number(_HEIGHT),
        _number(wide),
        _number(other),
        _number(start),
        pairs,
        " ".join(corners),
    )


def legend() -> list[tuple[int, str]]:
    """Return the colours of a heatmap's legend, weak to strong, with their positions."""
    return list(enumerate(COLOURS))
