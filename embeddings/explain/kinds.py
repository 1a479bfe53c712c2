"""What two pictures are to each other, and what was done to one to make the other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embeddings.explain.local_features import LocalFeatures
    from embeddings.explain.matching import Geometry


class Kind(StrEnum):
    """How two pictures belong together, the surest first."""

    IDENTICAL = "identical"  # the same bytes or the same pixels
    NEAR_DUPLICATE = "near-duplicate"  # an edited copy
    SAME_THING = "same thing"  # another photograph of the same object or place
    SIMILAR = "similar"
    WEAK = "weak"


class Edit(StrEnum):
    """What makes two copies of one picture differ; each way round, except where it says so."""

    RESIZED = "resized"
    CROPPED = "cropped"  # one shows a part of what the other shows
    MIRRORED = "mirrored"
    ROTATED = "rotated"
    RECOMPRESSED = "recompressed"
    RECOLOURED = "recoloured"
    OVERLAID = "overlaid"  # text, a logo, a watermark or another thing lies on one of them
    INSIDE = "inside"  # the query stands in a larger picture, which is the other: a page, a frame
    CONTAINS = "contains"  # the other stands in a larger picture, which is the query


@dataclass(frozen=True)
class Verdict:
    """What geometry says of two pictures: nothing where `kind` is None."""

    kind: Kind | None
    edits: tuple[Edit, ...]
    reason: str


def judge(
    geometry: Geometry,
    query: LocalFeatures,
    other: LocalFeatures,
    same_bytes: bool = False,
    same_pixels: bool = False,
) -> Verdict:
    """Name the kind of match and, for a copy, the edits that made it."""
    if same_bytes or same_pixels:
        what = "bytes" if same_bytes else "pixels"
        return Verdict(Kind.IDENTICAL, (), f"Both have the same {what}.")
    if geometry.inliers >= 6 and geometry.agreement >= 0.6:
        edits = (Edit.MIRRORED,) if geometry.mirrored else ()
        return Verdict(
            Kind.NEAR_DUPLICATE,
            edits,
            f"{geometry.inliers} points lie alike, and {geometry.agreement:.0%} of the picture "
            "agrees when one is laid on the other.",
        )
    if geometry.inliers >= 15:
        return Verdict(
            Kind.SAME_THING,
            (),
            f"{geometry.inliers} points lie alike, but the pictures around them differ.",
        )
    return Verdict(None, (), "")
