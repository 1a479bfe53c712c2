"""The vector search: the pictures nearest to a vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from searchapp.models import Dataset, Image, ImageState, Index, IndexState
from searchapp.models.dataset import DatasetQuerySet
from searchapp.services.errors import Unavailable
from searchapp.services.search.answer import MAX_DATASETS, MAX_RESULTS, Match, Wanted
from searchapp.vectors.errors import VectorsUnavailable
from searchapp.vectors.store import Hit, get_store

# What a match shows of its image; the other columns are read if somebody asks for them.
_SHOWN = ("name", "title", "metadata", "width", "height", "color", "sha256", "box")


def indexes_of(datasets: DatasetQuerySet | Sequence[Dataset]) -> list[Index]:
    """Return the active indexes of `datasets`, in one statement: what a search is to look at.

    One more than a search allows are enough for it to refuse.
    """
    active = Index.objects.filter(state=IndexState.ACTIVE, dataset__in=datasets)
    return list(active.defer("recipe")[: MAX_DATASETS + 1])


def nearest(vector: np.ndarray, wanted: Wanted, least: int = 0) -> list[Match]:
    """Return the best images that are ready, as many as are wanted where so many exist; `least`
    of them, where fewer are wanted.

    Vectors whose rows are gone a moment ago must not shorten the answer: where some are met, more
    are asked for.

    Raises:
        Unavailable: code `vectors_unavailable`.
    """
    try:
        matches = _matches(vector, wanted.indexes, max(wanted.top_k, least))
    except VectorsUnavailable as error:
        raise vectors_unavailable() from error
    if wanted.min_score is None:
        return matches
    return [match for match in matches if match.score >= wanted.min_score]


def vectors_unavailable() -> Unavailable:
    return Unavailable(
        "vectors_unavailable",
        "The vector store (Milvus) cannot be reached. Please try again shortly.",
    )


def _matches(vector: np.ndarray, indexes: Sequence[Index], top_k: int) -> list[Match]:
    asked = top_k
    while True:
        hits: list[Hit] = []
        complete = True
        for index in indexes:
            found = get_store().search(index.collection, vector, asked)
            complete = complete and len(found) < asked
            hits += found
        hits.sort(key=lambda hit: (-hit.score, hit.image_id))
        del hits[asked:]  # of several datasets, no more rows are read than of one
        ready = Image.objects.filter(pk__in=[hit.image_id for hit in hits], state=ImageState.READY)
        rows = ready.only(*_SHOWN).order_by().in_bulk()
        there = [hit for hit in hits if hit.image_id in rows]
        if len(there) >= top_k or complete or asked >= 16 * MAX_RESULTS:
            break
        asked = min(2 * asked + len(hits) - len(there), 16 * MAX_RESULTS)
    return [
        Match(rank, round(max(-1.0, min(1.0, hit.score)), 6), rows[hit.image_id])
        for rank, hit in enumerate(there[:top_k], start=1)
    ]
