"""Thresholds on the geometry of two pictures that decide their kind of match."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KindThresholds:
    """The limits between edited copies, other photographs of the same thing, and no match.

    Units: *points* are inliers (`Geometry.inliers`); a *share* is 0 to 1; an *error* is the median
    error of the inliers (`Geometry.error`), in shares of the long side; *drift* is
    `Likeness.drift`, in pixels of the small pictures. `agreement` and `textured` are those of
    `Geometry`; *contained* is the larger of its `of_query` and `of_other`.

    The thresholds of copies are measured by `python -m benchmarks geometry`: how many originals are
    named near-duplicates of their edited copies, how many other candidates are ("others"), and how
    many copies get any near-duplicate when their original is missing ("absent"). Those of the same
    thing are measured by `python -m benchmarks quality`: precision and absent ones of that kind.
    """

    # Maximum drift of a copy. Two photographs of a thing have different viewpoints, so that they
    # drift when aligned. Noise and overlaid text cause a little drift too; less in pictures with
    # texture everywhere, and less within a page. (benchmarks geometry: others, absent)
    max_drift: float = 0.04  # drift, for flat pictures
    max_drift_textured: float = 0.016  # drift, where `min_textured` is reached
    max_drift_in_page: float = 0.012  # drift, for a picture within the query: in a page or a frame
    # share (agreement): from here on, a flat picture in a page may drift by `max_drift`
    min_agreement_drifting_in_page: float = 0.92

    # Two photographs each show something more; of a picture and its copy, one contains the other.
    # (benchmarks geometry: near-duplicates, others)
    min_contained: float = 0.85  # share (contained)

    # Two crops of one picture overlap less, but exactly.
    # (benchmarks geometry: near-duplicates, others)
    min_contained_crops: float = 0.5  # share (contained)
    min_points_crops: int = 20  # points
    max_error_crops: float = 0.002  # error
    min_agreement_crops: float = 0.92  # share (agreement)

    # Minimum agreement of the overlap; higher for pictures with texture everywhere, because text
    # laid over a flat picture is a large part of its texture.
    # (benchmarks geometry: near-duplicates, others)
    min_agreement: float = 0.66  # share (agreement)
    min_textured: float = 0.85  # share (textured) that counts as texture everywhere
    min_agreement_textured: float = 0.76  # share (agreement), where `min_textured` is reached

    # Higher agreement is also required with fewer points than `many_points`, since a few points may
    # agree by chance, and for pictures within the query, which are rarely overlaid with text.
    # (benchmarks geometry: near-duplicates, others)
    many_points: int = 10  # points
    min_of_query: float = 0.93  # share (of_query); below it the query shows more than the other
    min_agreement_spare: float = 0.78  # share (agreement), with `some_points` or more
    some_points: int = 6  # points
    min_agreement_few_points: float = 0.92  # share (agreement), with fewer than `some_points`

    # Maximum error of the inliers; larger with so much agreement that the alignment must be right.
    # (benchmarks geometry: near-duplicates, others)
    max_error: float = 0.0065  # error
    min_agreement_alike: float = 0.8  # share (agreement), with `some_points` or more
    max_error_alike: float = 0.02  # error, where `min_agreement_alike` is reached

    # So many points with exact positions are a copy, however much of it is overlaid.
    # (benchmarks geometry: near-duplicates, others)
    min_points_exact: int = 15  # points
    max_error_exact: float = 0.0008  # error
    min_agreement_exact: float = 0.35  # share (agreement)

    # So many points do not agree by chance. They do on a frame or watermark common to two pictures:
    # those have the same position in both, and nothing else agrees.
    # (benchmarks quality: the kind "same thing")
    min_points_same_thing: int = 10  # points
    max_moved_template: float = 0.01  # share of a side that a corner of the outline may be moved by
    max_agreement_template: float = 0.65  # share (agreement)


THRESHOLDS = KindThresholds()
