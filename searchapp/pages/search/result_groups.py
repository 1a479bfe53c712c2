"""Search results as pages show them: cards, groups by match kind, and the strip of scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from embeddings.geometry.kinds import Kind
from searchapp.models import Image
from searchapp.pages.responses import megabytes
from searchapp.services.search import Answer, Match
from searchapp.services.search.types import Sort

# The title of each kind's group, and its explanation.
TITLES = {
    Kind.IDENTICAL: ("Identical", "The same picture, to the pixel."),
    Kind.NEAR_DUPLICATE: ("Near-duplicates", "Edited copies of the same picture."),
    Kind.SAME_THING: ("Same thing", "Other photographs of the same object or place."),
    Kind.SIMILAR: ("Similar", "Alike, and another picture."),
}
# Words for edits whose names are unclear.
_EDIT_WORDS = {"inside": "inside a larger picture", "contains": "with more around it"}
_BINS = 50


@dataclass(frozen=True)
class Card:
    """A match, as pages show it."""

    image: Image
    kind: Kind
    link: str  # URL of the search with it
    compare: str  # URL of its comparison with the query
    score: str
    bar: int  # percent
    is_self: bool
    edits: str  # 'cropped, recompressed'
    reason: str
    copies: int
    size: str  # of its file; in the list layout only
    place: int  # on the page, from 0: the first thumbnails are loaded eagerly

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
    """The groups of matches, and the weak matches below the cut-off."""

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
    """Group the matches of an answer by kind.

    Only the order by similarity is grouped, because groups would break any other; then only the
    cards show the kind. `links` returns the URLs of the search with an image and of its comparison
    with the query.
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
    """Return the kind of a match under the visitor's cut-off; verified matches keep theirs."""
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
    """Load, in one query, the columns that only the list layout shows."""
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
    """The histogram of scores, and the cut-off.

    `below` and `above` are the bars on either side of the cut-off, as SVG paths in a view box of
    100 by 24.
    """

    below: str
    above: str
    line: str  # the cut-off in use
    auto: str  # the cut-off that the search has computed
    reason: str
    is_own: bool  # whether the visitor has chosen the cut-off
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
