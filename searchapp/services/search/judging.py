"""What the matches of a search are: their kinds, the cut-off, and which were raised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from embeddings.explain.kinds import Kind
from searchapp.models import Image
from searchapp.services import calibration
from searchapp.services.search.answer import Cutoff, Match, Wanted
from searchapp.services.search.cutoffs import Cut, cut_off


@dataclass(frozen=True)
class Judged:
    """The matches as they are answered, and what is said of them together."""

    matches: list[Match]
    cutoff: Cutoff
    verified: bool
    raised: tuple[int, ...]
    ms: float


def judge(candidates: Sequence[Match], sha256: str, wanted: Wanted) -> Judged:
    """Name the kinds of `candidates`, which are in order of score; returns the best `top_k`."""
    cut = cut_off([match.score for match in candidates], calibration.bounds_of(wanted.indexes))
    matches = [_by_score(match, sha256, cut) for match in candidates[: wanted.top_k]]
    counts = Counter(match.kind for match in matches)
    return Judged(matches, Cutoff(cut.score, cut.reason, counts), False, (), 0.0)


def _by_score(match: Match, sha256: str, cut: Cut) -> Match:
    if _same_bytes(match.image, sha256):
        return replace(match, kind=Kind.IDENTICAL, reason="The same file.", verified=True)
    if match.score >= cut.score:
        return replace(match, kind=Kind.SIMILAR, reason="Its score is above the cut-off.")
    return replace(match, kind=Kind.WEAK, reason="Its score is below the cut-off.")


def _same_bytes(image: Image, sha256: str) -> bool:
    return image.box is None and image.sha256 == sha256
