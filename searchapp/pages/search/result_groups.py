"""The matches of a search as they are shown: cards, in groups by kind, and the strip of scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from embeddings.geometry.kinds import Kind
from searchapp.models import Image
from searchapp.pages.responses import megabytes
from searchapp.services.search import Answer, Match
from searchapp.services.search.types import Sort

# What each kind is called over its group, and what that means.
TITLES = {
    Kind.IDENTICAL: ("Identical", "The same picture, to the pixel."),
    Kind.NEAR_DUPLICATE: ("Near-duplicates", "Edited copies of the same picture."),
    Kind.SAME_THING: ("Same thing", "Other photographs of the same object or place."),
    Kind.SIMILAR: ("Similar", "Alike, and another picture."),
}
# Of edits whose own name says too little.
_EDIT_WORDS = {"inside": "inside a larger picture", "contains": "with more around it"}
_BINS = 50


@dataclass(frozen=True)
class Card:
    """A match as it is shown."""

    image: Image
    kind: Kind
    link: str  # the search with it
    compare: str  # side by side with the query
    score: str
    bar: int  # percent
    is_self: bool
    edits: str  # 'cropped, recompressed'
    reason: str
    copies: int
    size: str  # of its file; in a list only
    place: int  # on the page, from 0: the first pictures are loaded at once

    @property
    def is_late(self) -> bool:
        return self.place >= 12


@dataclass(frozen=True)
class ResultGroup:
    title: str
    hint: str
    kind: Kind | None
    cards: list[Card]


@dataclass(frozen=True)
class GroupedResults:
    """The groups that are shown, and what is folded away below the cut-off."""

    groups: list[ResultGroup]
    weak: list[Card]

    @property
    def number(self) -> int:
        return sum(len(group.cards) for group in self.groups)


def arrange(
    answer: Answer,
    sort: Sort,
    floor: float | None,
    links: Callable[[Image], tuple[str, str]],
    own: int | None,
) -> GroupedResults:
    """Put the matches of an answer into their groups; in another order than by similarity, groups
    would tear it apart, and the kind stands on the cards alone.

    `links` gives the addresses of the search with an image and of its comparison with the query.
    """
    cards = [
        _card(match, kind_at(match, floor), *links(match.image), own, place)
        for place, match in enumerate(answer.matches)
    ]
    weak = [card for card in cards if card.kind == Kind.WEAK]
    strong = [card for card in cards if card.kind != Kind.WEAK]
    if sort != Sort.SIMILARITY:
        groups = [ResultGroup("", "", None, strong)] if strong else []
    else:
        groups = [
            ResultGroup(title, hint, kind, chosen)
            for kind, (title, hint) in TITLES.items()
            if (chosen := [card for card in strong if card.kind == kind])
        ]
    return GroupedResults(groups, weak)


def kind_at(match: Match, floor: float | None) -> Kind:
    """The kind of a match where a visitor has drawn the line; what was verified stays."""
    if floor is None or match.kind not in (Kind.SIMILAR, Kind.WEAK):
        return match.kind
    return Kind.SIMILAR if match.score >= floor else Kind.WEAK


def _card(match: Match, kind: Kind, link: str, compare: str, own: int | None, place: int) -> Card:
    return Card(
        image=match.image,
        kind=kind,
        link=link,
        compare=compare,
        score=f"{match.score:.2f}",
        bar=max(0, round(match.score * 100)),
        is_self=match.image.pk == own,
        edits=", ".join(_EDIT_WORDS.get(edit, edit) for edit in match.edits),
        reason=match.reason,
        copies=match.copies,
        size=megabytes(match.image.bytes) if "bytes" in match.image.__dict__ else "",
        place=place,
    )


def add_facts(images: Sequence[Image]) -> None:
    """Read, in one statement, what a list says of its pictures and a grid does not."""
    columns = ("bytes", "format", "created", "label")
    rows = Image.objects.filter(pk__in=[image.pk for image in images]).only(*columns, "dataset")
    facts = rows.select_related("dataset").order_by().in_bulk()
    for image in images:
        if image.pk in facts:
            for column in columns:
                setattr(image, column, getattr(facts[image.pk], column))
            image.dataset = facts[image.pk].dataset


@dataclass(frozen=True)
class Strip:
    """How the scores lie, and where the line is.

    `below` and `above` are the columns of the histogram on either side of it: paths (SVG) in a
    field of 100 by 24.
    """

    below: str
    above: str
    line: str  # the score of the cut-off that holds
    auto: str  # the one that the search has found
    reason: str
    is_own: bool  # a visitor has drawn it
    best: str


def strip(answer: Answer, floor: float | None) -> Strip:
    scores = [match.score for match in answer.matches]
    line = answer.cutoff.score if floor is None else floor
    below, above = _columns(scores, line)
    return Strip(
        below=below,
        above=above,
        line=f"{min(1.0, max(0.0, line)):.2f}",
        auto=f"{min(1.0, max(0.0, answer.cutoff.score)):.2f}",
        reason=answer.cutoff.reason,
        is_own=floor is not None,
        best=f"{max(scores):.2f}" if scores else "",
    )


def _columns(scores: Sequence[float], line: float) -> tuple[str, str]:
    counts = [0] * _BINS
    for score in scores:
        counts[min(_BINS - 1, max(0, int(score * _BINS)))] += 1
    most = max([1, *counts])
    drawn = {
        place: f"M{100 * place / _BINS:g} 24v{-3 - 21 * number / most:.2f}h1.6V24z"
        for place, number in enumerate(counts)
        if number
    }
    below = "".join(path for place, path in drawn.items() if (place + 1) / _BINS <= line)
    above = "".join(path for place, path in drawn.items() if (place + 1) / _BINS > line)
    return below, above
