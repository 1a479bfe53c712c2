"""Data types of a search: request, match, cut-off, timings and answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from embeddings.geometry.kinds import Kind
from searchapp.models import Image, Index
from searchapp.services.datasets import dataset_service
from searchapp.services.errors import Conflict, Invalid
from searchapp.services.filters import Condition
from searchapp.services.search.box import Box

MAX_RESULTS = 200
# Datasets searched side by side: each costs one vector search.
MAX_DATASETS = 100


class Sort(StrEnum):
    """The sort order of the matches."""

    SIMILARITY = "similarity"  # the most alike first
    SIZE = "size"  # of the best matches, the one with the most pixels first
    DATE = "date"  # of the best matches, the one added last first


@dataclass(frozen=True)
class SearchRequest:
    """The parameters of a search, independent of its query picture.

    Raises `Invalid` when a parameter is out of range, and `Conflict` when the indexes do not all
    have one fingerprint.
    """

    indexes: Sequence[Index]
    top_k: int = 20
    min_score: float | None = None
    condition: Condition | None = None  # only images that match it
    sort: Sort = Sort.SIMILARITY
    collapse: bool = False  # return only one of several copies of a picture
    after: str = ""  # a cursor: `next` of the previous answer
    verify: bool = True  # verify the best matches by geometry
    deep: bool = True  # verify lower matches too when no copy is among the first

    def __post_init__(self) -> None:
        if not 1 <= self.top_k <= MAX_RESULTS:
            raise Invalid("invalid_top_k", f"top_k must be from 1 to {MAX_RESULTS}.")
        if not self.indexes:
            raise Invalid("no_dataset", "There is no dataset to search in yet.")
        if len(self.indexes) > MAX_DATASETS:
            raise Invalid(
                "too_many_datasets",
                f"At most {MAX_DATASETS} datasets are searched at once: name one.",
            )
        if len({index.fingerprint for index in self.indexes}) > 1:
            raise pipelines_differ()

    @property
    def pipeline(self) -> str:
        return self.indexes[0].pipeline

    @property
    def fingerprint(self) -> str:
        return self.indexes[0].fingerprint


@dataclass(frozen=True)
class Timings:
    """Milliseconds by stage. `total` includes the queue and the database."""

    decode: float
    embed: float
    search: float
    total: float
    verify: float = 0.0


@dataclass(frozen=True)
class Match:
    rank: int
    score: float  # cosine similarity, -1 to 1, rounded to six decimals
    image: Image
    kind: Kind = Kind.SIMILAR
    edits: tuple[str, ...] = ()  # of a near-duplicate: the edits that turn one into the other
    reason: str = ""  # why it is of this kind, as text
    verified: bool = False  # by geometry, not by the score alone
    copies: int = 0  # copies left out because of `collapse`


@dataclass(frozen=True)
class Cutoff:
    """The score cut-off of one search. It labels matches and removes none."""

    score: float  # a match below is weak, unless it was verified as a copy
    reason: str  # as text
    counts: Mapping[Kind, int]  # of the returned matches
    nothing: bool = False  # all matches are weak


@dataclass
class Answer:
    """The matches, best first, with the pipeline that scored them."""

    pipeline: str
    fingerprint: str
    took: Timings
    matches: list[Match]
    cached: bool
    width: int  # of the upright query picture, in pixels
    height: int
    indexes: Sequence[Index]  # those searched
    cutoff: Cutoff
    verified: bool = False  # whether the best matches were verified
    unfinished: bool = False  # a search with `deep` might find more copies
    found_deep: bool = False  # a match was verified below the first candidates
    raised: tuple[int, ...] = ()  # images ranked higher than by score alone
    next: str = ""  # the cursor of the next page; empty on the last one
    box: Box | None = None  # the searched part of the query picture

    @cached_property
    def searched(self) -> int:
        """The number of pictures searched."""
        return dataset_service.ready_count(index.dataset_id for index in self.indexes)


class Clock:
    """A stopwatch: milliseconds since it was created."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def ms(self) -> float:
        return (time.perf_counter() - self._start) * 1000


def pipelines_differ() -> Conflict:
    return Conflict(
        "pipelines_differ",
        "These datasets are indexed by different pipelines, whose scores cannot be compared: "
        "search in one of them.",
    )
