"""Search service: search with an uploaded file, a URL, a stored query or a stored image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from django.conf import settings
from django.contrib.auth.models import AnonymousUser

from searchapp.infra import storage
from searchapp.infra.upload_handler import HashedUpload
from searchapp.infra.vectors.errors import VectorsUnavailable
from searchapp.infra.vectors.store import get_store
from searchapp.models import Image, ImageState, Index, IndexState, Query
from searchapp.models.query import new_token
from searchapp.services import query_rpc
from searchapp.services.errors import Conflict, Invalid, ServiceError
from searchapp.services.imports.creation import full_disks
from searchapp.services.operations.cleanup import discard_query
from searchapp.services.query_rpc import Embedded, Question
from searchapp.services.search.box import Box
from searchapp.services.search.rerank import MIN_CANDIDATES, QuerySubject, judge
from searchapp.services.search.retrieval import nearest, vectors_unavailable
from searchapp.services.search.stored_queries import find_query, keep, refuse
from searchapp.services.search.types import Answer, Clock, SearchRequest, Timings, pipelines_differ

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def search_upload(
    upload: HashedUpload,
    user: User | AnonymousUser,
    client: str,
    request: SearchRequest,
    box: Box | None = None,
) -> tuple[Query, Answer]:
    """Store an uploaded query picture and search with (a box of) it. A refused picture is not
    stored."""
    clock = Clock()
    refuse(upload)
    token = new_token()
    try:
        with full_disks():
            storage.put_query(upload)
        question = _ask_stored(upload.sha256, request, box)
        query = keep(upload, user.pk, client, token=token)  # while the worker embeds
        embedded = _insist(question, query, request, box)
    except ServiceError:
        discard_query(token, upload.sha256)  # its token was never returned
        raise
    return query, _answer(embedded, request, clock, box)


def _insist(question: Question, query: Query, request: SearchRequest, box: Box | None) -> Embedded:
    """Wait for the answer; retry once when the picture was deleted before its row was created.

    That happens when another search with the same picture is refused at that moment.
    """
    try:
        return question.answer()
    except ServiceError as error:
        if error.code != "query_gone":
            raise
        return _ask_stored(query.sha256, request, box).answer()


def ask_url(url: str, user: User | AnonymousUser, client: str) -> Query:
    """Let a worker fetch a picture and store it as a query picture for a day.

    Raises `ServiceError` with a code such as `address_not_allowed` when the worker refuses it.
    """
    index = Index.objects.filter(state=IndexState.ACTIVE).first()
    if index is None:
        raise Invalid("no_dataset", "There is no dataset to search in yet.")
    return _fetch(url, (user.pk, client), index)[0]


def search_url(
    url: str,
    user: User | AnonymousUser,
    client: str,
    request: SearchRequest,
    box: Box | None = None,
) -> tuple[Query, Answer]:
    """Let a worker fetch a picture, store it as a query picture, and search with (a box of) it."""
    clock = Clock()
    query, embedded = _fetch(url, (user.pk, client), request.indexes[0], box)
    return query, _answer(embedded, request, clock, box)


def _fetch(
    url: str, sender: tuple[int | None, str], index: Index, box: Box | None = None
) -> tuple[Query, Embedded]:
    token = new_token()
    embedded = query_rpc.embed_address(
        url, token, sender, index.pipeline, index.fingerprint, _text(box)
    )
    return find_query(token), embedded


def answer_query(query: Query, request: SearchRequest, box: Box | None = None) -> Answer:
    """Search with (a box of) a stored query picture."""
    clock = Clock()
    return _answer(_ask_stored(query.sha256, request, box).answer(), request, clock, box)


def answer_image(image: Image, request: SearchRequest, box: Box | None = None) -> Answer:
    """Search with a stored image, by its vector in its own index; with a box, by a vector that a
    worker computes for that part.

    The image itself is among the matches when its dataset is searched.

    Raises `Conflict` (`image_not_ready`) when the image is not ready, and `ServiceError` when a
    box is given and the original cannot be read.
    """
    clock = Clock()
    if box is not None:
        return _answer(_embedded_part(image, request, box), request, clock, box, image)
    embedded = Embedded(
        vector=_vector_of(image, request),
        sha256=image.sha256,
        width=image.width or 0,
        height=image.height or 0,
        decode=0.0,
        embed=0.0,
        cached=True,
    )
    return _answer(embedded, request, clock, None, image)


def _embedded_part(image: Image, request: SearchRequest, box: Box) -> Embedded:
    check_ready(image)
    question = query_rpc.ask_image(
        image.pk, image.thumbnail_key, request.pipeline, request.fingerprint, str(box)
    )
    return question.answer()


def check_ready(image: Image) -> None:
    """Raises `Conflict` (`image_not_ready`) when the image cannot be searched with."""
    if image.state != ImageState.READY:
        raise Conflict(
            "image_not_ready",
            f"This picture is {image.state}: only a picture that is ready can be searched with.",
        )


def _vector_of(image: Image, request: SearchRequest) -> np.ndarray:
    # Prefer an index of the request: another one may be activated right now.
    own = next((index for index in request.indexes if index.dataset_id == image.dataset_id), None)
    own = own or image.dataset.active_index
    check_ready(image)
    if own.fingerprint != request.fingerprint:
        raise pipelines_differ()
    try:
        vectors = get_store().fetch(own.collection, [image.pk])
    except VectorsUnavailable as error:
        raise vectors_unavailable() from error
    if image.pk not in vectors:
        raise Conflict("image_not_ready", "This picture's vector is missing.")
    return vectors[image.pk]


def _ask_stored(sha256: str, request: SearchRequest, box: Box | None) -> Question:
    look = request.verify and settings.VERIFY_MS > 0
    return query_rpc.ask_stored(sha256, request.pipeline, request.fingerprint, _text(box), look)


def _text(box: Box | None) -> str:
    return "" if box is None else str(box)


def _answer(
    embedded: Embedded,
    request: SearchRequest,
    clock: Clock,
    box: Box | None,
    image: Image | None = None,
) -> Answer:
    searching = Clock()
    candidates = nearest(embedded.vector, request, MIN_CANDIDATES)
    search_ms = searching.ms
    subject = QuerySubject(image.sha256 if image else embedded.sha256, image, box)
    judged = judge(candidates, subject, request)
    return Answer(
        pipeline=request.pipeline,
        fingerprint=request.fingerprint,
        took=Timings(embedded.decode, embedded.embed, search_ms, clock.ms, judged.ms),
        matches=judged.matches,
        cached=embedded.cached,
        width=embedded.width,
        height=embedded.height,
        indexes=request.indexes,
        cutoff=judged.cutoff,
        verified=judged.verified,
        unfinished=judged.unfinished and not request.deep,
        found_deep=judged.found_deep,
        raised=judged.raised,
        next=judged.found.next(request, judged.matches, judged.cutoff),
        box=box,
    )
