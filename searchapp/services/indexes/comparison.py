"""Comparison of two indexes of one dataset by their stored vectors; no model is loaded.

Sampled images are searched for in both. Self-retrieval counts the images that are their own first
hit; `overlap` is the share of the first ten results that the two indexes have in common.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from searchapp.infra.vectors.errors import VectorsUnavailable
from searchapp.infra.vectors.store import Hit, get_store
from searchapp.models import Image, ImageState, Index, IndexState
from searchapp.services.errors import Conflict, Invalid, Unavailable

NEIGHBOURS = 10
MAX_SAMPLED = 50
MIN_SAMPLED = 8
# An exact search reads every vector, so fewer images of a larger dataset are sampled.
_VECTORS_IN_ALL = 2_000_000
# No further sample is searched for after this.
BUDGET_SECONDS = 15.0
# Hits beyond the neighbours: the image itself, and some that were deleted meanwhile.
_MORE = 11
# Two images with equal vectors both count as first.
_TIE = 1e-5
MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class Neighbour:
    image: Image
    score: float
    shared: bool  # among the first ten of the other index too


@dataclass(frozen=True)
class QueryRow:
    """One image and its neighbours in each index, best first, without itself."""

    image: Image
    a: list[Neighbour]
    b: list[Neighbour]

    @property
    def sides(self) -> list[tuple[str, list[Neighbour]]]:
        return [("a", self.a), ("b", self.b)]

    @property
    def shared(self) -> int:
        return sum(1 for neighbour in self.a if neighbour.shared)


@dataclass(frozen=True)
class IndexSide:
    """Measurements of one index."""

    index: Index
    found_itself: int  # of the sampled pictures
    search_ms: float | None  # median of one search
    built_per_second: float | None  # images, by one worker


@dataclass(frozen=True)
class IndexComparison:
    """`overlap` is the mean share of the first ten, 0 to 1; None when there are no neighbours."""

    a: IndexSide
    b: IndexSide
    sampled: int
    overlap: float | None
    rows: list[QueryRow]
    seed: int

    @property
    def sides(self) -> tuple[IndexSide, IndexSide]:
        return self.a, self.b

    @property
    def overlap_percent(self) -> float | None:
        return None if self.overlap is None else round(100 * self.overlap, 1)


@dataclass(frozen=True)
class _Found:
    hits: list[Hit]  # that are ready, itself among them
    ms: float


def pair(a: Index, b: Index) -> None:
    """Check that two indexes can be compared.

    Raises `Invalid` (`not_comparable`) when they are of two datasets or the same index, and
    `Conflict` (`wrong_index_state`) when one is neither ready nor active.
    """
    if a.pk == b.pk or a.dataset_id != b.dataset_id:
        raise Invalid("not_comparable", "Choose two different indexes of one dataset.")
    for index in (a, b):
        if index.state not in (IndexState.READY, IndexState.ACTIVE):
            raise Conflict(
                "wrong_index_state",
                f"The index {index.pk} is {index.state}; only those that are ready or active can "
                "be compared.",
            )


def compare(
    a: Index, b: Index, *, seed: int = 1, images: Sequence[Image] | None = None, rows: int = 3
) -> IndexComparison:
    """Compare two indexes by a sample of their dataset's pictures, or by `images`.

    The same `seed` (0 to `MAX_SEED`) samples the same pictures while the dataset is unchanged;
    the first `rows` of them are returned with their neighbours.

    Raises `Invalid` or `Conflict` when `pair` does, and `Unavailable` (`vectors_unavailable`) when
    Milvus is down.
    """
    pair(a, b)
    chosen = list(images) if images is not None else sample(a.dataset_id, seed)
    try:
        return _compare(a, b, seed, chosen, rows)
    except VectorsUnavailable as error:
        raise Unavailable(
            "vectors_unavailable",
            "The vector store (Milvus) cannot be reached. Please try again shortly.",
        ) from error


def sample(dataset_id: int, seed: int) -> list[Image]:
    """Return a sample of a dataset's ready images: `MAX_SAMPLED`, or fewer for a large dataset."""
    ready = Image.objects.filter(dataset=dataset_id, state=ImageState.READY).order_by("pk")
    first, last = ready.first(), ready.last()
    if first is None or last is None:
        return []
    number = ready.count()
    size = max(MIN_SAMPLED, min(MAX_SAMPLED, _VECTORS_IN_ALL // (2 * number)))
    if number <= size:
        return list(ready)
    drawn = random.Random(seed)  # noqa: S311 (a sample, not a secret)
    chosen: dict[int, Image] = {}
    for _ in range(4 * size):
        image = ready.filter(pk__gte=drawn.randint(first.pk, last.pk)).first()
        if image is not None:
            chosen[image.pk] = image
        if len(chosen) == size:
            break
    return list(chosen.values())


def _compare(a: Index, b: Index, seed: int, images: list[Image], rows: int) -> IndexComparison:
    keys = [image.pk for image in images]
    vectors = [get_store().fetch(index.collection, keys) for index in (a, b)]
    deadline = time.monotonic() + BUDGET_SECONDS
    results: list[tuple[Image, _Found, _Found]] = []
    for image in images:
        if image.pk not in vectors[0] or image.pk not in vectors[1]:
            continue  # a gap, or not added yet
        if results and time.monotonic() > deadline:
            break
        results.append((image, _search(a, vectors[0][image.pk]), _search(b, vectors[1][image.pk])))
    ready = _ready({hit.image_id for _, *sides in results for side in sides for hit in side.hits})
    ready_results = [
        (image, _only(left, ready), _only(right, ready)) for image, left, right in results
    ]
    shares = [share for one in ready_results if (share := _share(*one)) is not None]
    return IndexComparison(
        a=_side(a, [(image, left) for image, left, _ in ready_results]),
        b=_side(b, [(image, right) for image, _, right in ready_results]),
        sampled=len(ready_results),
        overlap=round(statistics.fmean(shares), 4) if shares else None,
        rows=_rows(ready_results[:rows]),
        seed=seed,
    )


def _search(index: Index, vector: np.ndarray) -> _Found:
    started = time.perf_counter()
    hits = get_store().search(index.collection, vector, NEIGHBOURS + _MORE)
    return _Found(hits, (time.perf_counter() - started) * 1000)


def _ready(keys: set[int]) -> set[int]:
    rows = Image.objects.filter(pk__in=keys, state=ImageState.READY)
    return set(rows.values_list("pk", flat=True))


def _only(result: _Found, ready: set[int]) -> _Found:
    return _Found([hit for hit in result.hits if hit.image_id in ready], result.ms)


def _others(image: Image, result: _Found) -> list[Hit]:
    return [hit for hit in result.hits if hit.image_id != image.pk][:NEIGHBOURS]


def _share(image: Image, left: _Found, right: _Found) -> float | None:
    one = {hit.image_id for hit in _others(image, left)}
    other = {hit.image_id for hit in _others(image, right)}
    most = max(len(one), len(other))
    return len(one & other) / most if most else None


def _side(index: Index, results: list[tuple[Image, _Found]]) -> IndexSide:
    times = [one.ms for _, one in results]
    return IndexSide(
        index=index,
        found_itself=sum(1 for image, one in results if _is_first(image, one.hits)),
        search_ms=round(statistics.median(times), 2) if times else None,
        built_per_second=(
            round(index.embedded / index.seconds, 1)
            if index.embedded and index.seconds > 0
            else None
        ),
    )


def _is_first(image: Image, hits: list[Hit]) -> bool:
    own = next((hit.score for hit in hits if hit.image_id == image.pk), -math.inf)
    return bool(hits) and own >= hits[0].score - _TIE


def _rows(results: list[tuple[Image, _Found, _Found]]) -> list[QueryRow]:
    shown = {
        hit.image_id for image, *sides in results for side in sides for hit in _others(image, side)
    }
    images = Image.objects.in_bulk(shown)
    rows = []
    for image, left, right in results:
        ours, theirs = _others(image, left), _others(image, right)
        rows.append(
            QueryRow(image, _neighbours(ours, theirs, images), _neighbours(theirs, ours, images))
        )
    return rows


def _neighbours(hits: list[Hit], others: list[Hit], images: dict[int, Image]) -> list[Neighbour]:
    shared = {hit.image_id for hit in others}
    return [
        Neighbour(images[hit.image_id], round(hit.score, 4), hit.image_id in shared)
        for hit in hits
        if hit.image_id in images
    ]
