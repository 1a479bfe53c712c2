"""Boxes: parsing and validating the rectangular part of a query picture to search with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from searchapp.services.errors import Invalid

# A tenth of a pixel in a thousand, and few enough distinct boxes for answers to be cached.
DECIMALS = 4
MIN_BOX_SIDE = 0.01  # of a side
_WRONG = (
    "A box is four numbers, left, top, width and height, each from 0 to 1 of the upright picture, "
    "such as 0.25,0.1,0.5,0.4; "
)


@dataclass(frozen=True)
class Box:
    """Left, top, width and height, as shares (0 to 1) of the upright picture."""

    left: float
    top: float
    width: float
    height: float

    def __str__(self) -> str:
        """Return the form used in URLs; `parse_box` reads it back."""
        return ",".join(f"{number:g}" for number in self.numbers)

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        return self.left, self.top, self.width, self.height

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom in pixels; each side is at least one pixel."""
        left = min(math.floor(self.left * width + 1e-6), width - 1)
        top = min(math.floor(self.top * height + 1e-6), height - 1)
        right = min(width, max(left + 1, math.ceil((self.left + self.width) * width - 1e-6)))
        bottom = min(height, max(top + 1, math.ceil((self.top + self.height) * height - 1e-6)))
        return left, top, right, bottom


def parse_box(value: str | Sequence[float] | None) -> Box | None:
    """Parse a box from text ("0.25,0.1,0.5,0.4") or from four numbers.

    Returns None for no value and for a box around the whole picture. Raises `Invalid`
    (`invalid_box`) when the value is not a valid box.
    """
    if value is None or value == "":
        return None
    parts: Sequence[object] = value.split(",", 4) if isinstance(value, str) else value
    try:
        numbers = [_number(part) for part in parts]
    except (TypeError, ValueError, OverflowError):
        numbers = []
    if len(numbers) != 4:
        raise Invalid("invalid_box", _WRONG + "this one is not.")
    left, top, width, height = (round(number, DECIMALS) for number in numbers)
    if not (0 <= left <= 1 and 0 <= top <= 1 and 0 <= width <= 1 and 0 <= height <= 1):
        raise Invalid("invalid_box", _WRONG + "this one has a number below 0 or above 1.")
    if min(width, height) < MIN_BOX_SIDE:
        raise Invalid("invalid_box", _WRONG + f"width and height are {MIN_BOX_SIDE:g} at least.")
    # Rounding in the browser may put a box slightly over the edge.
    if left + width > 1.001 or top + height > 1.001:
        raise Invalid("invalid_box", _WRONG + "this one ends outside of the picture.")
    width, height = round(min(width, 1 - left), DECIMALS), round(min(height, 1 - top), DECIMALS)
    if min(width, height) < MIN_BOX_SIDE:
        raise Invalid("invalid_box", _WRONG + f"width and height are {MIN_BOX_SIDE:g} at least.")
    box = Box(left + 0.0, top + 0.0, width, height)
    return None if box == _WHOLE else box


def _number(part: object) -> float:
    if isinstance(part, bool) or not isinstance(part, str | int | float):
        raise TypeError
    number = float(part)
    if not math.isfinite(number):
        raise ValueError
    return number


_WHOLE = Box(0, 0, 1, 1)
