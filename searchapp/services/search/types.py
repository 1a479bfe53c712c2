"""What a search is asked and what it answers."""

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
    """What the matches are listed by."""

    SIMILARITY = "similarity"  # the most alike first
    SIZE = "size"  # of the best matches, the one with the most pixels first
    DATE = "date"  # of the best matches, the one added last first


@dataclass(frozen=True)
class SearchRequest:
    """What is wanted of a search, whatever picture it is made with.

    Raises:
        Invalid, Conflict: for what cannot be searched: the indexes must all have one fingerprint.
    """

    indexes: Sequence[Index]
    top_k: int = 20
    min_score: float | None = None
    condition: Condition | None = None  # only pictures for which it holds
    sort: Sort = Sort.SIMILARITY
    collapse: bool = False  # one of those that are the same picture
    after: str = ""  # a cursor: what comes after the answer that had it as `next`
    verify: bool = True  # look at the best matches again, by what is in the pictures
    deep: bool = True  # at those further down as well, where no copy is among the first

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
    """Milliseconds by stage. `total` holds the queue and the database too."""

    decode: float
    embed: float
    search: float
    total: float
    verify: float = 0.0


@dataclass(frozen=True)
class Match:
    rank: int
    score: float  # cosine similarity, -1 to 1, in six decimals: what is shown is what is compared
    image: Image
    kind: Kind = Kind.SIMILAR
    edits: tuple[str, ...] = ()  # of a near-duplicate: what was done to one to make the other
    reason: str = ""  # why it is of this kind, in words
    verified: bool = False  # by what is in the pictures, not by the score alone
    copies: int = 0  # pictures like it that were left out, where they were collapsed


@dataclass(frozen=True)
class Cutoff:
    """Where the matches of one search stop to mean something. It labels, and shortens nothing."""

    score: float  # a match below is weak, unless it was verified as something better
    reason: str  # why there, in words
    counts: Mapping[Kind, int]  # of the matches that are answered
    nothing: bool = False  # nothing like the picture is there: all that was found is weak


@dataclass
class Answer:
    """The matches, best first, with the pipeline that judged them."""

    pipeline: str
    fingerprint: str
    took: Timings
    matches: list[Match]
    cached: bool
    width: int  # of the query picture, as people see it
    height: int
    indexes: Sequence[Index]  # that were searched
    cutoff: Cutoff
    verified: bool = False  # whether the best matches were looked at again
    unfinished: bool = False  # a deep look, which was not wanted, might find more copies
    found_deep: bool = False  # something was found below the first candidates
    raised: tuple[int, ...] = ()  # images that are shown before their turn by score
    next: str = ""  # the cursor of the page after this one; empty where there is none
    box: Box | None = None  # of the query picture, where a part of it was asked about

    @cached_property
    def searched(self) -> int:
        """How many pictures were searched."""
        return dataset_service.ready_count(index.dataset_id for index in self.indexes)


class Clock:
    """Milliseconds since it was made."""

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
