"""The adaptive score cut-off between similar and weak matches of one search.

A fixed threshold fails: with the same model a true copy may score 0.6 in one search and an
unrelated picture 0.5 in another. The cut-off is placed at a gap in the scores, between two bounds
from the dataset's calibration (`searchapp.services.calibration`): below the lower one a match is no
better than the best of as many unrelated pictures; above the upper one it is about as close as the
dataset's pictures are to each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from searchapp.services.calibration import Bounds

# The number of best scores used. It is fixed, so that the cut-off does not depend on `top_k`.
LOOKED_AT = 48
# A gap sets the cut-off when it is at least this wide, and this many times the median gap.
MIN_GAP = 0.06
OUTSTANDING = 3.0


@dataclass(frozen=True)
class Cut:
    """The score at and above which a match is not weak, with the reason as text. `nothing` is
    true when all matches of the search are weak."""

    score: float
    reason: str
    nothing: bool = False


def cut_off(scores: Sequence[float], bounds: Bounds) -> Cut:
    """Return the cut-off of one search from its candidates' `scores`, in any order."""
    ordered = sorted(scores, reverse=True)[:LOOKED_AT]
    if not ordered or ordered[0] <= bounds.lower:
        return Cut(bounds.usual, bounds.basis)
    pairs = list(pairwise(ordered))
    within = [pair for pair in pairs if pair[0] > bounds.lower and pair[1] < bounds.upper]
    if within:
        above, below = max(within, key=lambda pair: pair[0] - pair[1])
        widths = sorted(above - below for above, below in pairs)
        if above - below >= max(MIN_GAP, OUTSTANDING * widths[len(widths) // 2]):
            score = min(bounds.upper, max(bounds.lower, (above + below) / 2))
            return Cut(round(score, 4), f"The scores fall from {above:.2f} to {below:.2f} there.")
    return Cut(bounds.usual, bounds.basis)
