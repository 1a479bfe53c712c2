"""The adaptive cut-off: where the scores of one search stop to mean something.

One flat number fails: with the same model a true copy may score 0.6 in one search and a stranger
0.5 in another. So the line is drawn where the scores themselves have a gap, between two bounds
that are known of the dataset (`searchapp.services.calibration`): below the lower one a match is
no better than the best of so many strangers, above the upper one it is about as near as its
pictures are to each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from searchapp.services.calibration import Bounds

# Scores that are looked at, the best ones: as many for every page and whatever was asked for, so
# that the line does not move with the number of results.
LOOKED_AT = 48
# A gap speaks for itself where it is so wide, and so many times as wide as the usual one.
MIN_GAP = 0.06
OUTSTANDING = 3.0


@dataclass(frozen=True)
class Cut:
    """The score from which on a match is no longer weak, and why there, in words. `nothing`:
    whether no match of the whole search is any better than weak."""

    score: float
    reason: str
    nothing: bool = False


def cut_off(scores: Sequence[float], bounds: Bounds) -> Cut:
    """Draw the line for one search; `scores` are those of its candidates, in any order."""
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
