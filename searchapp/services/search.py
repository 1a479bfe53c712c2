"""A question is asked: a query picture in, the pictures most like it out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils import timezone

from searchapp import storage
from searchapp.models import Dataset, Image, ImageState, Index, IndexState, Query
from searchapp.models.dataset import DatasetQuerySet
from searchapp.models.query import new_token
from searchapp.services import datasets as dataset_service
from searchapp.services import exchange
from searchapp.services.cleanup import discard_query, query_life
from searchapp.services.errors import (
    BadPicture,
    Conflict,
    Gone,
    Invalid,
    ServiceError,
    Unavailable,
)
from searchapp.services.exchange import Embedded, Question
from searchapp.services.locks import lock_contents
from searchapp.uploads import HashedUpload
from searchapp.vectors.errors import VectorsUnavailable
from searchapp.vectors.store import Hit, get_store

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MAX_RESULTS = 200
# Datasets searched side by side: each costs one vector search.
MAX_DATASETS = 100
# What a match shows of its image; the other columns are read if somebody asks for them.
_SHOWN = ("name", "title", "metadata", "width", "height", "color")


@dataclass(frozen=True)
class Took:
    """Milliseconds by stage. `total` holds the queue and the database too."""

    decode: float
    embed: float
    search: float
    total: float


@dataclass(frozen=True)
class Match:
    rank: int
    score: float  # cosine similarity, -1 to 1, in six decimals: what is shown is what is compared
    image: Image


@dataclass
class Answer:
    """The matches, best first, with the pipeline that judged them."""

    pipeline: str
    fingerprint: str
    took: Took
    matches: list[Match]
    cached: bool
    width: int  # of the query picture, as people see it
    height: int
    indexes: Sequence[Index]  # that were searched

    @cached_property
    def searched(self) -> int:
        """How many pictures were searched."""
        return dataset_service.ready_count(index.dataset_id for index in self.indexes)


class _Clock:
    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def ms(self) -> float:
        return (time.perf_counter() - self._start) * 1000


def indexes_of(datasets: DatasetQuerySet | Sequence[Dataset]) -> list[Index]:
    """Return the active indexes of `datasets`, in one statement: what a search is to look at.

    One more than a search allows are enough for it to refuse.
    """
    active = Index.objects.filter(state=IndexState.ACTIVE, dataset__in=datasets)
    return list(active.defer("recipe")[: MAX_DATASETS + 1])


def ask_upload(upload: HashedUpload, user: User | AnonymousUser) -> Query:
    """Keep an uploaded query picture for a day.

    Raises:
        BadPicture: codes `empty_file`, `file_too_large`.
    """
    return _keep(upload, user.pk)


def search_upload(
    upload: HashedUpload,
    user: User | AnonymousUser,
    indexes: Sequence[Index],
    top_k: int = 20,
    min_score: float | None = None,
) -> tuple[Query, Answer]:
    """Keep an uploaded query picture and search with it; a picture that is refused is not kept."""
    clock = _Clock()
    _check(indexes, top_k)
    _refuse(upload)
    token = new_token()
    try:
        storage.put_query(upload)
        question = _ask_stored(upload.sha256, indexes)
        query = _keep(upload, user.pk, token=token)  # while the worker embeds
        embedded = _insist(question, query, indexes)
    except ServiceError:
        discard_query(token, upload.sha256)  # nobody was told of it
        raise
    return query, _answer(embedded, indexes, top_k, min_score, clock)


def _insist(question: Question, query: Query, indexes: Sequence[Index]) -> Embedded:
    """Wait for the answer; ask once more where the picture was taken away before its row was there.

    That is so when another search with the same picture was refused at that moment.
    """
    try:
        return question.answer()
    except ServiceError as error:
        if error.code != "query_gone":
            raise
        return _ask_stored(query.sha256, indexes).answer()


def ask_url(url: str, user: User | AnonymousUser) -> Query:
    """Let a worker fetch a picture and keep it as a query picture for a day.

    Raises:
        ServiceError: with the code of the refusal, such as `address_not_allowed`.
    """
    return _fetch(url, user, _any_index())[0]


def search_url(
    url: str,
    user: User | AnonymousUser,
    indexes: Sequence[Index],
    top_k: int = 20,
    min_score: float | None = None,
) -> tuple[Query, Answer]:
    """Let a worker fetch a picture, keep it as a query picture, and search with it."""
    clock = _Clock()
    _check(indexes, top_k)
    query, embedded = _fetch(url, user, indexes[0])
    return query, _answer(embedded, indexes, top_k, min_score, clock)


def _fetch(url: str, user: User | AnonymousUser, index: Index) -> tuple[Query, Embedded]:
    token = new_token()
    question = exchange.ask_address(url, token, user.pk, index.pipeline, index.fingerprint)
    embedded = question.answer(settings.FETCH_TIMEOUT + settings.QUERY_TIMEOUT)
    return find_query(token), embedded


def keep_fetched(upload: HashedUpload, url: str, token: str, user_id: int | None) -> Query:
    """Keep a query picture that a worker has fetched from `url`."""
    return _keep(upload, user_id, url=url[:2000], token=token)


def answer_query(
    query: Query,
    indexes: Sequence[Index],
    top_k: int = 20,
    min_score: float | None = None,
) -> Answer:
    """Search with a kept query picture."""
    clock = _Clock()
    _check(indexes, top_k)
    embedded = _ask_stored(query.sha256, indexes).answer()
    return _answer(embedded, indexes, top_k, min_score, clock)


def answer_image(
    image: Image,
    indexes: Sequence[Index],
    top_k: int = 20,
    min_score: float | None = None,
) -> Answer:
    """Search with a stored picture, by the vector that its own index has of it.

    The picture itself is among the matches where its dataset is searched.

    Raises:
        Conflict: code `image_not_ready`.
    """
    clock = _Clock()
    _check(indexes, top_k)
    # Of the indexes that are searched, where its own is one: another may be activated right now.
    own = next((index for index in indexes if index.dataset_id == image.dataset_id), None)
    own = own or image.dataset.active_index
    if image.state != ImageState.READY:
        raise Conflict(
            "image_not_ready",
            f"This picture is {image.state}: only a picture that is ready can be searched with.",
        )
    if any(index.fingerprint != own.fingerprint for index in indexes):
        raise _pipelines_differ()
    try:
        found = get_store().fetch(own.collection, [image.pk])
    except VectorsUnavailable as error:
        raise _vectors_unavailable() from error
    if image.pk not in found:
        raise Conflict("image_not_ready", "This picture's vector is missing.")
    embedded = Embedded(
        vector=found[image.pk],
        sha256=image.sha256,
        width=image.width or 0,
        height=image.height or 0,
        decode=0.0,
        embed=0.0,
        cached=True,
    )
    return _answer(embedded, indexes, top_k, min_score, clock)


def find_query(token: str) -> Query:
    """Return a kept query; raises Gone (`query_gone`) after its day."""
    query = Query.objects.filter(token=token, expires__gt=timezone.now()).first()
    if query is None:
        hours = settings.QUERY_KEEP_HOURS
        raise Gone(
            "query_gone",
            f"This search is gone: query pictures are kept for {hours} hours. "
            "Search again with the picture.",
        )
    return query


def query_thumbnail(query: Query) -> BinaryIO | None:
    """Open the 512-pixel WebP of a query picture; a worker makes it when it is first asked for.

    Raises:
        ServiceError: when no worker makes it in time.
    """
    with contextlib.suppress(FileNotFoundError):
        return storage.open_query_thumbnail(query.sha256)
    exchange.ask_thumbnail(query.sha256)
    with contextlib.suppress(FileNotFoundError):
        return storage.open_query_thumbnail(query.sha256)
    return None


def _refuse(upload: HashedUpload) -> None:
    if upload.refusal is not None:
        code, detail = upload.refusal
        raise BadPicture(code, detail)


def _keep(upload: HashedUpload, user_id: int | None, *, url: str = "", token: str = "") -> Query:
    _refuse(upload)
    with transaction.atomic():
        lock_contents([upload.sha256])
        storage.put_query(upload)
        return Query.objects.create(
            token=token or new_token(),
            sha256=upload.sha256,
            name=upload.name or "",
            url=url,
            user_id=user_id,
            expires=timezone.now() + query_life(),
        )


def _check(indexes: Sequence[Index], top_k: int) -> None:
    """Refuse what cannot be searched: the indexes must all have one fingerprint."""
    if not 1 <= top_k <= MAX_RESULTS:
        raise Invalid("invalid_top_k", f"top_k must be from 1 to {MAX_RESULTS}.")
    if not indexes:
        raise Invalid("no_dataset", "There is no dataset to search in yet.")
    if len(indexes) > MAX_DATASETS:
        raise Invalid(
            "too_many_datasets", f"At most {MAX_DATASETS} datasets are searched at once: name one."
        )
    if len({index.fingerprint for index in indexes}) > 1:
        raise _pipelines_differ()


def _any_index() -> Index:
    index = Index.objects.filter(state=IndexState.ACTIVE).first()
    if index is None:
        raise Invalid("no_dataset", "There is no dataset to search in yet.")
    return index


def _pipelines_differ() -> Conflict:
    return Conflict(
        "pipelines_differ",
        "These datasets are indexed by different pipelines, whose scores cannot be compared: "
        "search in one of them.",
    )


def _vectors_unavailable() -> Unavailable:
    return Unavailable(
        "vectors_unavailable",
        "The vector store (Milvus) cannot be reached. Please try again shortly.",
    )


def _ask_stored(sha256: str, indexes: Sequence[Index]) -> Question:
    return exchange.ask_stored(sha256, indexes[0].pipeline, indexes[0].fingerprint)


def _answer(
    embedded: Embedded,
    indexes: Sequence[Index],
    top_k: int,
    min_score: float | None,
    clock: _Clock,
) -> Answer:
    searching = _Clock()
    try:
        matches = _matches(embedded.vector, indexes, top_k)
    except VectorsUnavailable as error:
        raise _vectors_unavailable() from error
    search_ms = searching.ms
    if min_score is not None:
        matches = [match for match in matches if match.score >= min_score]
    return Answer(
        pipeline=indexes[0].pipeline,
        fingerprint=indexes[0].fingerprint,
        took=Took(embedded.decode, embedded.embed, search_ms, clock.ms),
        matches=matches,
        cached=embedded.cached,
        width=embedded.width,
        height=embedded.height,
        indexes=indexes,
    )


def _matches(vector: np.ndarray, indexes: Sequence[Index], top_k: int) -> list[Match]:
    """Return the best `top_k` images that are ready.

    Vectors whose rows are gone a moment ago must not shorten the answer: where some are met, more
    are asked for.
    """
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
