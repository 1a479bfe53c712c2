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
    """What makes two copies of one picture differ; `inside` and `contains` say which way round."""

    RESIZED = "resized"
    CROPPED = "cropped"  # one shows a part of what the other shows
    MIRRORED = "mirrored"
    ROTATED = "rotated"
    RECOMPRESSED = "recompressed"  # the later one was saved again as JPEG; or nothing else differs
    RECOLOURED = "recoloured"
    OVERLAID = "overlaid"  # text, a logo, a watermark or another thing lies on one of them
    INSIDE = "inside"  # the query stands in a larger picture, which is the other: a page, a frame
    CONTAINS = "contains"  # the other stands in a larger picture, which is the query


@dataclass(frozen=True)
class Verdict:
    """What geometry says of two pictures: nothing where `kind` is None.

    `edits` are those of a near-duplicate, in the order of `Edit`; `reason` is a sentence, empty
    where there is no kind.
    """

    kind: Kind | None
    edits: tuple[Edit, ...]
    reason: str


# A copy lies where the transform puts it to a part of a pixel. What was photographed twice does
# not: no two photographs are taken from one place. (Shares of the long side.)
_EXACT = 0.0045
# Of two photographs each shows something more; of a picture and its copy one holds the other.
_CONTAINED, _WHOLE = 0.85, 0.93
# Two that were cut from one picture share less, but that exactly.
_PART, _PART_ERROR = 0.5, 0.002
# How much of what both show must look alike. A copy that is all in the other may be written over;
# around a picture in a page there is room enough. With all points near their places, or with all
# alike, the points may miss a little more.
_AGREEING, _SHOWN_AGREEING = 0.7, 0.8
_BETTER_ERROR, _BETTER_AGREEING = 0.0055, 0.82
_ALL_ERROR, _ALL_AGREEING = 0.0065, 0.92
_COPY_POINTS = 6
# So many points at exactly the same places are a copy, however much of it is written over.
_SURE_POINTS, _SURE_ERROR, _SURE_AGREEING = 20, 0.0008, 0.35
# So many points do not lie alike by chance. On the frame or the watermark of two pictures they
# do: those lie at the same place in both, and nothing else agrees.
_SAME_POINTS = 10
_UNMOVED, _DIFFERING = 0.01, 0.65


def judge(
    geometry: Geometry,
    query: LocalFeatures,
    other: LocalFeatures,
    same_bytes: bool = False,
    same_pixels: bool = False,
) -> Verdict:
    """Name the kind of match and, for a copy, the edits that made it. Thread-safe.

    `geometry` is what `match` said of the two. `same_bytes` and `same_pixels` are for the caller
    to know. Kind None: geometry says nothing, and the score of the vectors decides between
    `similar` and `weak`.
    """
    if same_bytes or same_pixels:
        what = "bytes" if same_bytes else "pixels"
        return Verdict(Kind.IDENTICAL, (), f"Both have the same {what}.")
    if _is_copy(geometry):
        from embeddings.explain.edits import edits  # OpenCV is not for who only needs the names

        points = f"{geometry.inliers} points lie alike, and " if geometry.inliers else ""
        what = f"{100 * geometry.agreement:.0f} % of what both show looks alike"
        reason = f"{points}{what} when one is laid on the other."
        return Verdict(
            Kind.NEAR_DUPLICATE, edits(geometry, query, other), reason[0].upper() + reason[1:]
        )
    if geometry.inliers >= _SAME_POINTS and not _is_template(geometry):
        return Verdict(
            Kind.SAME_THING,
            (),
            f"{geometry.inliers} points lie alike, but the pictures differ too much for copies.",
        )
    return Verdict(None, (), "")


def _is_copy(geometry: Geometry) -> bool:
    points, error, agreement = geometry.inliers, geometry.error, geometry.agreement
    if not points:
        return geometry.transform is not None  # `match` lays whole pictures on their likes only
    contained = max(geometry.of_query, geometry.of_other)
    if contained < _CONTAINED:
        exact = points >= _SURE_POINTS and error <= _PART_ERROR
        return contained >= _PART and exact and agreement >= _ALL_AGREEING
    if points >= _SURE_POINTS and error <= _SURE_ERROR and agreement >= _SURE_AGREEING:
        return True
    is_part = geometry.of_query >= _WHOLE
    if points >= _COPY_POINTS and error <= _EXACT:
        return agreement >= (_AGREEING if is_part else _SHOWN_AGREEING)
    if points >= _COPY_POINTS and is_part and error <= _BETTER_ERROR:
        return agreement >= _BETTER_AGREEING
    return error <= _ALL_ERROR and agreement >= _ALL_AGREEING


def _is_template(geometry: Geometry) -> bool:
    """Whether what the pictures share lies at the same place in both, and little else agrees."""
    if geometry.outline is None or geometry.agreement > _DIFFERING:
        return False
    corners = ((0, 0), (1, 0), (1, 1), (0, 1))
    return all(
        abs(x - at_x) <= _UNMOVED and abs(y - at_y) <= _UNMOVED
        for (x, y), (at_x, at_y) in zip(geometry.outline, corners, strict=True)
    )
