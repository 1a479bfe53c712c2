"""Reranking of search candidates: kinds of matches, geometric verification and the cut-off.

The best candidates of the vector search are verified by the geometry of the pictures
(`searchapp.services.search.verification`), which tells copies from look-alikes. For the others, the
score decides between similar and weak.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.conf import settings

from embeddings.geometry.kinds import Kind
from searchapp.infra.content_keys import thumbnail_key
from searchapp.models import Image
from searchapp.services import calibration
from searchapp.services.search import verification, verification_cache
from searchapp.services.search.box import Box
from searchapp.services.search.cursors import Candidates
from searchapp.services.search.cutoff import LOOKED_AT, Cut, cut_off
from searchapp.services.search.sorting import listed
from searchapp.services.search.types import Clock, Cutoff, Match, SearchRequest, Sort
from searchapp.services.search.verification_cache import PairVerdict

# Candidates to verify: the first ones always, the others if none of those is a copy. Heavily
# edited copies rank low: of screenshots, one in a hundred is not among the first 16.
FIRST, MAX_CANDIDATES = 12, 48
# With less time left, a second round of verification is not worth starting.
_MIN_REMAINING_MS = 20.0
# Candidates retrieved for reranking, whatever `top_k` is.
MIN_CANDIDATES = max(LOOKED_AT, MAX_CANDIDATES)
_ORDER = {Kind.IDENTICAL: 0, Kind.NEAR_DUPLICATE: 1, Kind.SAME_THING: 2}
# Near-duplicates are ordered by closeness in this many steps; within a step they are equal.
_STEPS_OF_FIT = 10
_COPY = (Kind.IDENTICAL, Kind.NEAR_DUPLICATE)
_SAME_FILE = PairVerdict(Kind.IDENTICAL, (), "Both have the same bytes.")


@dataclass(frozen=True)
class QuerySubject:
    """The query of a search: its file, and the image when it is a stored one."""

    sha256: str
    image: Image | None = None
    box: Box | None = None

    @property
    def content(self) -> str:
        """The cache key of verdicts, equal for equal pixels."""
        whole = self.image.thumbnail_key if self.image else thumbnail_key(self.sha256, None)
        return f"{whole}:{self.box}" if self.box else whole

    @property
    def subject(self) -> verification.VerificationSubject:
        part = None if self.box is None else self.box.numbers
        if self.image is not None:
            return verification.VerificationSubject(image=self.image.pk, box=part)
        return verification.VerificationSubject(query=self.sha256, box=part)

    def is_same_file(self, other: Image) -> bool:
        return self.box is None and other.thumbnail_key == self.content


@dataclass(frozen=True)
class RankedResults:
    """The matches of one page, with the cut-off and flags; `found` holds the candidates they were
    chosen from."""

    found: Candidates
    matches: list[Match]
    cutoff: Cutoff
    verified: bool
    raised: tuple[int, ...]
    ms: float
    unfinished: bool = False  # verifying more candidates might find more
    found_deep: bool = False  # a match was verified below the first candidates


def judge(candidates: Candidates, subject: QuerySubject, request: SearchRequest) -> RankedResults:
    """Assign kinds to the candidates and return the `top_k` best by kind, then score; in lists by
    size or date, the first `top_k`."""
    clock = Clock()
    nearest = candidates.candidates[:MAX_CANDIDATES]
    judgements, verified = _look_again(nearest, subject, request)
    ms = clock.ms if request.verify else 0.0
    cut = candidates.cursor.cut or _cut(candidates, judgements, request)
    if request.sort != Sort.SIMILARITY:
        decided = [pk for pk, judgement in judgements.items() if judgement.kind is not None]
        candidates = listed(candidates, request, cut.score, decided)
    pool = candidates.candidates
    named = [_named(match, judgements.get(match.image.pk), cut) for match in pool]
    order = list(range(len(named)))
    if request.sort == Sort.SIMILARITY:
        order.sort(key=lambda place: _order(place, named, judgements))
    chosen = order[: request.top_k]
    first = pool[0].rank if pool else 1
    matches = [replace(named[place], rank=rank) for rank, place in enumerate(chosen, start=first)]
    counts = Counter(match.kind for match in matches)
    cutoff = Cutoff(cut.score, cut.reason, counts, cut.nothing)
    below = [match.image.pk for match in nearest[FIRST:]]
    has_copy = any(one.kind in _COPY for one in judgements.values())
    return RankedResults(
        candidates,
        matches,
        cutoff,
        verified,
        _raised(chosen, pool),
        ms,
        unfinished=verified and not has_copy and any(pk not in judgements for pk in below),
        found_deep=any(pk in judgements and judgements[pk].kind is not None for pk in below),
    )


def _cut(
    candidates: Candidates, judgements: Mapping[int, PairVerdict], request: SearchRequest
) -> Cut:
    """Compute the cut-off from the best scores of the whole search, on its first page.

    Matches decided by geometry are left out: the gap between a copy and the rest says nothing
    about where similarity ends among the rest.
    """
    decided = Counter(
        match.score
        for match in candidates.candidates
        if (judgement := judgements.get(match.image.pk)) is not None and judgement.kind is not None
    )
    open_scores = list((Counter(candidates.best) - decided).elements())
    cut = cut_off(open_scores, calibration.bounds_of(request.indexes))
    return replace(cut, nothing=not decided and max(open_scores, default=-1.0) < cut.score)


def _look_again(
    candidates: Sequence[Match], subject: QuerySubject, request: SearchRequest
) -> tuple[dict[int, PairVerdict], bool]:
    """Return verdicts by image key, and whether verification was requested and answered."""
    images = [match.image for match in candidates]
    verdicts = {image.pk: _SAME_FILE for image in images if subject.is_same_file(image)}
    if not request.verify or not settings.VERIFY_MS:
        return verdicts, False
    contents = {image.pk: image.thumbnail_key for image in images if image.pk not in verdicts}
    known = verification_cache.recall(subject.content, contents.values())
    verdicts |= {pk: known[content] for pk, content in contents.items() if content in known}
    clock, heard = Clock(), True
    for part in (images[:FIRST], images[FIRST:] if request.deep else []):
        missing = [image.pk for image in part if image.pk not in verdicts]
        left = settings.VERIFY_MS - clock.ms
        if missing and left >= _MIN_REMAINING_MS:
            fresh = _verified(subject, missing, left)
            verification_cache.remember(
                subject.content, {contents[pk]: one for pk, one in fresh.items()}
            )
            verdicts |= fresh
            heard = heard and bool(fresh)
        if not heard or any(one.kind in _COPY for one in verdicts.values()):
            break
    return verdicts, heard


def _verified(
    subject: QuerySubject, images: Sequence[int], budget_ms: float
) -> dict[int, PairVerdict]:
    answered = verification.verify(subject.subject, images, budget_ms=budget_ms)
    return {pk: PairVerdict.of(one) for pk, one in answered.items() if pk in images}


def _named(match: Match, judgement: PairVerdict | None, cut: Cut) -> Match:
    if judgement is not None and judgement.kind is not None:
        return replace(
            match,
            kind=judgement.kind,
            edits=tuple(str(edit) for edit in judgement.edits),
            reason=judgement.reason,
            verified=True,
        )
    above = match.score >= cut.score
    return replace(
        match,
        kind=Kind.SIMILAR if above else Kind.WEAK,
        reason=f"Its score is {'above' if above else 'below'} the cut-off.",
        verified=judgement is not None,
    )


def _order(
    place: int, named: Sequence[Match], judgements: Mapping[int, PairVerdict]
) -> tuple[int, int, int]:
    """Sort key: copies first, by kind, then by score. Near-duplicates are sorted by closeness
    before score, because another photograph taken for a copy, or a copy with more written over
    it, may score higher."""
    kind, fit = named[place].kind, 0
    if kind == Kind.NEAR_DUPLICATE:
        judgement = judgements[named[place].image.pk]
        fit = round(_STEPS_OF_FIT * judgement.closeness)
    return _ORDER.get(kind, len(_ORDER)), -fit, place


def _raised(chosen: Sequence[int], candidates: Sequence[Match]) -> tuple[int, ...]:
    """Return keys of chosen candidates that rank, by score, below a candidate left out."""
    shown = set(chosen)
    first_left = next((place for place in range(len(candidates)) if place not in shown), None)
    if first_left is None:
        return ()
    return tuple(candidates[place].image.pk for place in chosen if place > first_left)
