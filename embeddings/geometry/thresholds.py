"""The thresholds by which the geometry of two pictures becomes a kind of match."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KindThresholds:
    """Where an edited copy ends and another photograph begins.

    Units: *points* are pairs of points that lie alike (`Geometry.inliers`); a *share* is 0 to 1; an
    *error* is the median distance of the points from where the transform puts them
    (`Geometry.error`), in shares of the long side; *drift* is `Likeness.drift`, in pixels of the
    small pictures. `agreement` and `textured` are those of `Geometry`; *contained* is the larger of
    its `of_query` and `of_other`.

    The thresholds of copies are measured by `python -m benchmarks geometry`: how many originals are
    named near-duplicates of their edited copies, how many other candidates are ("others"), and for
    how many copies anything is where their original is missing ("absent"). Those of the same thing
    are measured by `python -m benchmarks quality`: precision and absent ones of that kind.
    """

    # How much a copy may drift. What was photographed twice lies beside itself when one photograph
    # is laid on the other, for no two are taken from one place. Noise and what was written over a
    # picture look like that too, a little; where there is texture everywhere, less, and less
    # within a page. (benchmarks geometry: others, absent)
    max_drift: float = 0.04  # drift, of flat pictures
    max_drift_textured: float = 0.016  # drift, where `min_textured` is reached
    max_drift_in_page: float = 0.012  # drift, of a picture within the query: in a page or a frame
    # share (agreement): from here on a flat picture in a page may drift by `max_drift`
    min_agreement_drifting_in_page: float = 0.92

    # Of two photographs each shows something more; of a picture and its copy one holds the other.
    # (benchmarks geometry: near-duplicates, others)
    min_contained: float = 0.85  # share (contained)

    # Two that were cut from one picture share less, but that exactly.
    # (benchmarks geometry: near-duplicates, others)
    min_contained_crops: float = 0.5  # share (contained)
    min_points_crops: int = 20  # points
    max_error_crops: float = 0.002  # error
    min_agreement_crops: float = 0.92  # share (agreement)

    # How much of what both show must look alike. Where there is texture everywhere, it is more:
    # what was written over a flat picture is much of what is to be seen in it.
    # (benchmarks geometry: near-duplicates, others)
    min_agreement: float = 0.66  # share (agreement)
    min_textured: float = 0.85  # share (textured) that counts as texture everywhere
    min_agreement_textured: float = 0.76  # share (agreement), where `min_textured` is reached

    # With fewer points than `many_points`, and of pictures within the query (nobody writes over
    # those: around them there is room enough), it must be more as well. A few points lie alike by
    # chance. (benchmarks geometry: near-duplicates, others)
    many_points: int = 10  # points
    min_of_query: float = 0.93  # share (of_query); below it the query shows more than the other
    min_agreement_spare: float = 0.78  # share (agreement), with `some_points` or more
    some_points: int = 6  # points
    min_agreement_few_points: float = 0.92  # share (agreement), with fewer than `some_points`

    # How far points may be from their places; further, where so much looks alike that the places
    # cannot be wrong. (benchmarks geometry: near-duplicates, others)
    max_error: float = 0.0065  # error
    min_agreement_alike: float = 0.8  # share (agreement), with `some_points` or more
    max_error_alike: float = 0.02  # error, where `min_agreement_alike` is reached

    # So many points at exactly the same places are a copy, however much of it is written over.
    # (benchmarks geometry: near-duplicates, others)
    min_points_exact: int = 15  # points
    max_error_exact: float = 0.0008  # error
    min_agreement_exact: float = 0.35  # share (agreement)

    # So many points do not lie alike by chance. On the frame or the watermark of two pictures they
    # do: those lie at the same place in both, and nothing else agrees.
    # (benchmarks quality: the kind "same thing")
    min_points_same_thing: int = 10  # points
    max_moved_template: float = 0.01  # share of a side that a corner of the outline may be moved by
    max_agreement_template: float = 0.65  # share (agreement)


THRESHOLDS = KindThresholds()
