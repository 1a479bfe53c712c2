"""The matches of a search, judged: kinds, order, the line, paging.

No worker and no Redis are there, so this is what a search says when nobody looks at the pictures
again; and, by remembered verdicts, what it says when somebody has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from embeddings.geometry.kinds import Edit, Kind
from searchapp.models import Dataset, Image
from searchapp.services.search import Match, SearchRequest, cursors, rerank, verification_cache
from searchapp.services.search.cursors import Candidates, Cursor, Place
from searchapp.services.search.rerank import QuerySubject, RankedResults, judge
from searchapp.services.search.types import Sort
from searchapp.services.search.verification_cache import PairVerdict

SCORES = [0.93, 0.71, 0.69, 0.67, 0.3, 0.29, 0.28, 0.27]
OTHER = QuerySubject("f" * 64)
COPY = PairVerdict(
    Kind.NEAR_DUPLICATE, (Edit.CROPPED, Edit.RECOMPRESSED), "It lies on it.", 80, 0.9
)
THING = PairVerdict(Kind.SAME_THING, (), "Points lie alike.", 30, 0.2)
NOTHING = PairVerdict(None, (), "", 2, 0.0)


@pytest.fixture
def candidates(images: Callable[[int], list[Image]]) -> Candidates:
    """Eight candidates, with their scores."""
    rows = images(len(SCORES))
    matches = [
        Match(rank, score, image)
        for rank, (score, image) in enumerate(zip(SCORES, rows, strict=True), start=1)
    ]
    places: dict[int, Place] = {match.image.pk: (-match.score, match.image.pk) for match in matches}
    return Candidates(matches, Cursor(), places, False, SCORES)


@pytest.fixture
def make_request(dataset: Dataset) -> Callable[..., SearchRequest]:
    return lambda **changes: SearchRequest([dataset.active_index], **changes)


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> dict[str, PairVerdict]:
    """Verdicts that are remembered, by what they are of; Redis would have them."""
    known: dict[str, PairVerdict] = {}
    monkeypatch.setattr(
        verification_cache, "recall", lambda _, others: {o: known[o] for o in others if o in known}
    )
    return known


def _kinds(judged: RankedResults) -> list[Kind]:
    return [match.kind for match in judged.matches]


def test_without_a_second_look_the_scores_decide(
    candidates: Candidates, make_request: Callable[..., SearchRequest]
) -> None:
    judged = judge(candidates, OTHER, make_request())
    assert _kinds(judged) == [Kind.SIMILAR] * 4 + [Kind.WEAK] * 4
    assert not judged.verified
    assert not any(match.verified for match in judged.matches)
    assert 0.3 < judged.cutoff.score < 0.67
    assert judged.cutoff.counts == {Kind.SIMILAR: 4, Kind.WEAK: 4}
    assert not judged.cutoff.nothing
    assert all(match.reason for match in judged.matches)


@pytest.mark.parametrize("verify", [True, False])
def test_the_same_file_is_identical_whoever_looks(
    candidates: Candidates, make_request: Callable[..., SearchRequest], verify: bool
) -> None:
    third = candidates.candidates[2].image
    judged = judge(candidates, QuerySubject(third.sha256), make_request(verify=verify))
    assert judged.matches[0].image == third
    assert judged.matches[0].kind == Kind.IDENTICAL
    assert judged.matches[0].verified
    # A part of a file is not the file.
    third.box = [0, 0, 4, 4]
    assert Kind.IDENTICAL not in _kinds(
        judge(candidates, QuerySubject(third.sha256), make_request(verify=verify))
    )


def test_copies_are_raised_whatever_they_score_and_never_folded(
    candidates: Candidates,
    make_request: Callable[..., SearchRequest],
    remembered: dict[str, PairVerdict],
) -> None:
    by_place = [match.image for match in candidates.candidates]
    for place, image in enumerate(by_place):
        remembered[image.thumbnail_key] = {3: THING, 7: COPY}.get(place, NOTHING)
    judged = judge(candidates, OTHER, make_request())
    assert judged.verified
    assert [match.image for match in judged.matches] == [
        by_place[place] for place in (7, 3, 0, 1, 2, 4, 5, 6)
    ]
    assert [match.rank for match in judged.matches] == list(range(1, 9))
    first = judged.matches[0]
    assert first.kind == Kind.NEAR_DUPLICATE
    assert first.score < judged.cutoff.score
    assert first.edits == ("cropped", "recompressed")
    assert first.reason == COPY.reason
    assert not judged.cutoff.nothing
    assert _kinds(judge(candidates, OTHER, make_request(verify=False)))[0] == Kind.SIMILAR


def test_a_deep_look_is_left_for_later_where_it_might_find_more(
    candidates: Candidates,
    make_request: Callable[..., SearchRequest],
    remembered: dict[str, PairVerdict],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rerank, "FIRST", 3)
    contents = [match.image.thumbnail_key for match in candidates.candidates]
    remembered.update(dict.fromkeys(contents[:3], NOTHING))
    soon = judge(candidates, OTHER, make_request(deep=False))
    assert soon.verified
    assert soon.unfinished
    assert not soon.found_deep
    assert not any(match.verified for match in soon.matches[3:])
    remembered[contents[1]] = COPY
    # A copy was found: there is nothing left to look for.
    assert not judge(candidates, OTHER, make_request(deep=False)).unfinished
    remembered.update(dict.fromkeys(contents, NOTHING))
    # A deep look has been taken before.
    assert not judge(candidates, OTHER, make_request(deep=False)).unfinished
    remembered[contents[7]] = COPY
    late = judge(candidates, OTHER, make_request())
    assert late.found_deep
    assert late.matches[0].image == candidates.candidates[7].image


def test_of_copies_the_one_that_fits_plainly_better_comes_first(
    candidates: Candidates,
    make_request: Callable[..., SearchRequest],
    remembered: dict[str, PairVerdict],
) -> None:
    """Another photograph mistaken for a copy may score higher; equal ones stay ordered by score."""
    images = [match.image for match in candidates.candidates]
    fits = {0: 0.71, 2: 0.96, 4: 0.97}
    for place, image in enumerate(images):
        copy = replace(COPY, closeness=fits[place]) if place in fits else NOTHING
        remembered[image.thumbnail_key] = PairVerdict.from_bytes(copy.to_bytes())
    judged = judge(candidates, OTHER, make_request())
    assert [match.image for match in judged.matches[:3]] == [images[2], images[4], images[0]]
    assert judged.matches[0].edits == ("cropped", "recompressed")


def test_pages_show_each_match_once_though_a_deep_one_was_raised(
    candidates: Candidates,
    make_request: Callable[..., SearchRequest],
    remembered: dict[str, PairVerdict],
) -> None:
    for place, match in enumerate(candidates.candidates):
        remembered[match.image.thumbnail_key] = COPY if place == 6 else NOTHING
    shown: list[int] = []
    cutoffs = set()
    after, cursor = "", Cursor()
    for _ in range(10):
        ahead = [
            match
            for match in candidates.candidates
            if (cursor.after is None or candidates.places[match.image.pk] > cursor.after)
            and match.image.pk not in cursor.beyond
        ]
        page = Candidates(ahead, cursor, candidates.places, False, candidates.best)
        judged = judge(page, OTHER, make_request(top_k=3, after=after))
        assert judged.raised == ((candidates.candidates[6].image.pk,) if not shown else ())
        shown += [match.image.pk for match in judged.matches]
        cutoffs.add(judged.cutoff.score)
        after = page.next(make_request(top_k=3), judged.matches, judged.cutoff)
        if not after:
            break
        cursor = cursors.read(make_request(top_k=3, after=after))
    assert shown[0] == candidates.candidates[6].image.pk
    assert sorted(shown) == sorted(match.image.pk for match in candidates.candidates)
    assert len(cutoffs) == 1


def test_another_order_is_one_of_what_is_not_weak(
    candidates: Candidates,
    make_request: Callable[..., SearchRequest],
    remembered: dict[str, PairVerdict],
) -> None:
    """Newest first, including a copy however low it scores; then the weak matches."""
    by_score = [match.image for match in candidates.candidates]
    remembered[by_score[6].thumbnail_key] = COPY
    shown: list[Image] = []
    after, cursor = "", Cursor()
    while after or not shown:
        request = make_request(sort=Sort.DATE, top_k=3, after=after)
        judged = judge(replace(candidates, cursor=cursor), OTHER, request)
        shown += [match.image for match in judged.matches]
        assert not judged.cutoff.nothing
        after = judged.found.next(request, judged.matches, judged.cutoff)
        cursor = cursors.read(make_request(sort=Sort.DATE, after=after)) if after else cursor
        remembered.clear()  # the next page has it from the first one
    assert shown == [by_score[place] for place in (6, 3, 2, 1, 0, 7, 5, 4)]


def test_nothing_like_it_is_said_of_the_whole_search(
    candidates: Candidates,
    make_request: Callable[..., SearchRequest],
    remembered: dict[str, PairVerdict],
) -> None:
    weak = Candidates(candidates.candidates[4:], Cursor(), candidates.places, False, SCORES[4:])
    judged = judge(weak, OTHER, make_request())
    assert judged.cutoff.nothing
    assert len(judged.matches) == 4
    later = Candidates(weak.candidates, Cursor(shown=4), candidates.places, False, SCORES)
    assert not judge(later, OTHER, make_request()).cutoff.nothing
    remembered[weak.candidates[3].image.thumbnail_key] = COPY
    assert not judge(weak, OTHER, make_request()).cutoff.nothing


def test_an_empty_answer_is_an_answer(
    candidates: Candidates, make_request: Callable[..., SearchRequest]
) -> None:
    judged = judge(Candidates([], Cursor(), {}, False, []), OTHER, make_request())
    assert judged.matches == []
    assert judged.cutoff.nothing


def test_a_verdict_is_kept_as_it_was() -> None:
    for judgement in (COPY, THING, NOTHING):
        assert PairVerdict.from_bytes(judgement.to_bytes()) == judgement
