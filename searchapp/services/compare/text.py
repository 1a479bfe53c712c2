"""Text of a comparison's verdict, such as 'An edited copy: cropped to 70 %, recompressed.'"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from embeddings.geometry.kinds import Edit, Kind
from searchapp.services.search.verification import GeometrySummary

Size = tuple[int, int]

_SENTENCES = {
    Kind.IDENTICAL: "The same picture.",
    Kind.NEAR_DUPLICATE: "A copy of the same picture.",
    Kind.SAME_THING: "The same thing, in another photograph.",
    Kind.SIMILAR: "Another picture that looks similar.",
    Kind.WEAK: "Two pictures with little in common.",
}


@dataclass(frozen=True)
class _Laid:
    """How the first picture maps onto the second, in pixels: scale factor, rotation in degrees,
    and its area as a share of the second's."""

    scale: float
    degrees: float
    area: float


def verdict(
    kind: Kind, edits: Sequence[Edit], geometry: GeometrySummary, first: Size, second: Size
) -> str:
    """Return the verdict on two pictures as a sentence; sizes are width and height in pixels."""
    if kind != Kind.NEAR_DUPLICATE or not edits:
        return _SENTENCES[kind]
    laid = _laid(geometry, first, second)
    return f"An edited copy: {', '.join(_edit(edit, laid) for edit in edits)}."


def _edit(edit: Edit, laid: _Laid | None) -> str:
    word = {Edit.INSIDE: "inside a larger picture", Edit.CONTAINS: "with more around it"}.get(
        edit, str(edit)
    )
    if laid is None:
        return word
    if edit == Edit.CROPPED and min(laid.area, 1 / laid.area) < 0.995:
        return f"cropped to {_percent(min(laid.area, 1 / laid.area))}"
    if edit == Edit.RESIZED and min(laid.scale, 1 / laid.scale) < 0.995:
        return f"resized to {_percent(min(laid.scale, 1 / laid.scale))}"
    if edit == Edit.ROTATED and round(abs(laid.degrees)):
        return f"rotated by {round(abs(laid.degrees))}°"
    return word


def _percent(share: float) -> str:
    return f"{max(1, round(100 * share))} %"


def _laid(geometry: GeometrySummary, first: Size, second: Size) -> _Laid | None:
    if geometry.transform is None:
        return None
    (a, b, _), (c, d, _) = geometry.transform
    area = abs(a * d - b * c)
    if not math.isfinite(area) or area < 1e-6:
        return None
    width, height = first
    wide, high = second
    # From shares of the sides to pixels.
    a, b, c, d = a * wide / width, b * wide / height, c * high / width, d * high / height
    turned = math.degrees(math.atan2(c, a) if a * d - b * c > 0 else math.atan2(-c, -a))
    return _Laid(math.sqrt(abs(a * d - b * c)), turned, area)
