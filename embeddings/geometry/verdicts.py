"""Decide from the geometry of two pictures what they are to each other."""

from __future__ import annotations

from embeddings.geometry.edits import edits
from embeddings.geometry.feature_matching import Geometry
from embeddings.geometry.kinds import Kind, Verdict
from embeddings.geometry.local_features import LocalFeatures

# What was photographed twice lies beside itself when one photograph is laid on the other: no two
# are taken from one place. Noise and what was written over a picture look like that too, a little;
# where there is texture everywhere, less, and less within a page.
_DRIFT, _TEXTURED_DRIFT, _SHOWN_DRIFT = 0.04, 0.016, 0.012
# Of two photographs each shows something more; of a picture and its copy one holds the other.
_CONTAINED = 0.85
# Two that were cut from one picture share less, but that exactly.
_PART, _PART_POINTS, _PART_ERROR, _PART_AGREEING = 0.5, 20, 0.002, 0.92
# How much of what both show must look alike. Where there is texture everywhere, it is more: what
# was written over a flat picture is much of what is to be seen in it.
_AGREEING, _TEXTURED, _TEXTURED_AGREEING = 0.66, 0.85, 0.76
# With fewer points than so many, and of pictures within the query (nobody writes over those: around
# them there is room enough), it must be more as well. A few points lie alike by chance.
_MANY_POINTS, _WHOLE, _SPARE_AGREEING = 10, 0.93, 0.78
_SOME_POINTS, _HARDLY_AGREEING = 6, 0.92
# How far points may be from their places, in long sides; further, where so much looks alike that
# the places cannot be wrong.
_ERROR, _ALIKE, _ALIKE_ERROR = 0.0065, 0.8, 0.02
# So many points at exactly the same places are a copy, however much of it is written over.
_SURE_POINTS, _SURE_ERROR, _SURE_AGREEING = 15, 0.0008, 0.35
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
        points = f"{geometry.inliers} points lie alike, and " if geometry.inliers else ""
        what = f"{100 * geometry.agreement:.0f} % of what both show looks alike"
        reason = f"{points}{what} when one is laid on the other."
        return Verdict(
            Kind.NEAR_DUPLICATE, edits(geometry, query, other), reason[0].upper() + reason[1:]
        )
    if geometry.inliers >= _SAME_POINTS and not _is_template(geometry):
        why = "the pictures differ too much for copies"
        if geometry.agreement >= _ALIKE:
            why = "what is around them does not lie where a copy would have it"
        return Verdict(Kind.SAME_THING, (), f"{geometry.inliers} points lie alike, but {why}.")
    return Verdict(None, (), "")


def _is_copy(geometry: Geometry) -> bool:
    points, error, agreement = geometry.inliers, geometry.error, geometry.agreement
    if not points:
        return geometry.transform is not None  # `match` lays whole pictures on their likes only
    contained = max(geometry.of_query, geometry.of_other)
    is_textured = geometry.textured >= _TEXTURED
    is_sure = points >= _SURE_POINTS and error <= _SURE_ERROR and agreement >= _SURE_AGREEING
    if is_sure and contained >= _CONTAINED:
        return True
    is_part = geometry.of_query >= _WHOLE
    if geometry.drift > _still(is_textured, is_part, agreement):
        return False
    if contained < _CONTAINED:
        exact = points >= _PART_POINTS and error <= _PART_ERROR
        return contained >= _PART and exact and agreement >= _PART_AGREEING
    wanted = _TEXTURED_AGREEING if is_textured else _AGREEING
    if points < _MANY_POINTS or not is_part:
        wanted = _SPARE_AGREEING if points >= _SOME_POINTS else _HARDLY_AGREEING
    is_plain = points >= _SOME_POINTS and agreement >= _ALIKE
    return agreement >= wanted and error <= (_ALIKE_ERROR if is_plain else _ERROR)


def _still(is_textured: bool, is_part: bool, agreement: float) -> float:
    """How much a copy may drift."""
    if not is_part and (is_textured or agreement < _PART_AGREEING):
        return _SHOWN_DRIFT
    return _TEXTURED_DRIFT if is_textured else _DRIFT


def _is_template(geometry: Geometry) -> bool:
    """Whether what the pictures share lies at the same place in both, and little else agrees."""
    if geometry.outline is None or geometry.agreement > _DIFFERING:
        return False
    corners = ((0, 0), (1, 0), (1, 1), (0, 1))
    return all(
        abs(x - at_x) <= _UNMOVED and abs(y - at_y) <= _UNMOVED
        for (x, y), (at_x, at_y) in zip(geometry.outline, corners, strict=True)
    )
