"""`judge`: decides the kind of match between two pictures from their geometry."""

from __future__ import annotations

from embeddings.geometry.edits import edits
from embeddings.geometry.feature_matching import Geometry
from embeddings.geometry.kinds import Kind, Verdict
from embeddings.geometry.local_features import LocalFeatures
from embeddings.geometry.thresholds import THRESHOLDS


def judge(
    geometry: Geometry,
    query: LocalFeatures,
    other: LocalFeatures,
    same_bytes: bool = False,
    same_pixels: bool = False,
) -> Verdict:
    """Return the kind of match and, for a copy, the edits that made it. Thread-safe.

    `geometry` is the result of `match`. The caller determines `same_bytes` and `same_pixels`.
    Kind None: geometry finds no match, and the score of the vectors decides between `similar`
    and `weak`.
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
    if geometry.inliers >= THRESHOLDS.min_points_same_thing and not _is_template(geometry):
        why = "the pictures differ too much for copies"
        if geometry.agreement >= THRESHOLDS.min_agreement_alike:
            why = "what is around them does not lie where a copy would have it"
        return Verdict(Kind.SAME_THING, (), f"{geometry.inliers} points lie alike, but {why}.")
    return Verdict(None, (), "")


def _is_copy(geometry: Geometry) -> bool:
    limits = THRESHOLDS
    points, error, agreement = geometry.inliers, geometry.error, geometry.agreement
    if not points:
        return geometry.transform is not None  # `match` aligns whole pictures only if alike
    contained = max(geometry.of_query, geometry.of_other)
    is_textured = geometry.textured >= limits.min_textured
    is_exact = (
        points >= limits.min_points_exact
        and error <= limits.max_error_exact
        and agreement >= limits.min_agreement_exact
    )
    if is_exact and contained >= limits.min_contained:
        return True
    is_part = geometry.of_query >= limits.min_of_query
    if geometry.drift > _max_drift(is_textured, is_part, agreement):
        return False
    if contained < limits.min_contained:
        return (
            contained >= limits.min_contained_crops
            and points >= limits.min_points_crops
            and error <= limits.max_error_crops
            and agreement >= limits.min_agreement_crops
        )
    if points < limits.many_points or not is_part:
        has_some = points >= limits.some_points
        enough = limits.min_agreement_spare if has_some else limits.min_agreement_few_points
    else:
        enough = limits.min_agreement_textured if is_textured else limits.min_agreement
    is_plain = points >= limits.some_points and agreement >= limits.min_agreement_alike
    near = limits.max_error_alike if is_plain else limits.max_error
    return agreement >= enough and error <= near


def _max_drift(is_textured: bool, is_part: bool, agreement: float) -> float:
    """Return the maximum drift of a copy."""
    limits = THRESHOLDS
    if not is_part and (is_textured or agreement < limits.min_agreement_drifting_in_page):
        return limits.max_drift_in_page
    return limits.max_drift_textured if is_textured else limits.max_drift


def _is_template(geometry: Geometry) -> bool:
    """Whether what the pictures share has the same position in both, and little else agrees."""
    limits = THRESHOLDS
    if geometry.outline is None or geometry.agreement > limits.max_agreement_template:
        return False
    corners = ((0, 0), (1, 0), (1, 1), (0, 1))
    return all(
        abs(value - corner) <= limits.max_moved_template
        for place, at in zip(geometry.outline, corners, strict=True)
        for value, corner in zip(place, at, strict=True)
    )
