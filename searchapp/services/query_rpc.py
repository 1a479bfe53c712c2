"""Remote calls from the web process to the query workers: embed, fetch, thumbnail, regions.

The web process sends a task and waits on a Redis list of its own; the worker replies with one
payload: a line of JSON, then the vector's raw bytes. The payload is cached for a day by (picture,
box, fingerprint), so that a repeated search costs no model time. (A Celery result backend would
carry the vector as JSON, at several times the size and cost.)
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass

import numpy as np
from django.conf import settings

from searchapp.infra import queue
from searchapp.services.errors import BadPicture, ServiceError, Unavailable

# HTTP statuses of a worker's error codes that are not about the picture itself.
_STATUS = {
    "query_gone": 410,
    "image_gone": 410,
    "original_missing": 410,
    "original_changed": 410,
    "original_unreachable": 503,
    "pipeline_unavailable": 503,
    "heatmap_not_ready": 503,
    "internal_error": 500,
    "fetch_timeout": 504,
    "busy": 503,
}


@dataclass(frozen=True)
class Embedded:
    """The embedding of a query picture; times in milliseconds."""

    vector: np.ndarray  # float32, (dimension,), unit length
    sha256: str
    width: int
    height: int
    decode: float
    embed: float
    cached: bool = False

    def to_payload(self) -> bytes:
        facts = asdict(self)
        vector = facts.pop("vector").astype("<f4")
        del facts["cached"]
        raw: bytes = vector.tobytes()
        return json.dumps(facts).encode() + b"\n" + raw

    @classmethod
    def from_payload(cls, payload: bytes, *, cached: bool) -> Embedded:
        line, _, raw = payload.partition(b"\n")
        facts = json.loads(line)
        if "error" in facts:
            raise refused(**facts["error"])
        if cached:
            facts["decode"] = facts["embed"] = 0.0
        return cls(vector=np.frombuffer(raw, dtype="<f4"), cached=cached, **facts)


def refusal_payload(code: str, detail: str) -> bytes:
    """Return the payload with which a worker replies instead of a result."""
    return json.dumps({"error": {"code": code, "detail": detail}}).encode() + b"\n"


def refused(code: str, detail: str) -> ServiceError:
    """Return the exception for a worker's error code."""
    if code not in _STATUS:
        return BadPicture(code, detail)
    status = _STATUS[code]
    return ServiceError(code, detail, status=status, retry_after=5 if status == 503 else None)


def vector_key(key: str, fingerprint: str, box: str = "") -> str:
    """Return the cache key of the vector of (a box of) a picture; `key` is its content key."""
    return f"lookalike:vector:{fingerprint[:16]}:{key}{':' if box else ''}{box}"


@dataclass(frozen=True)
class Question:
    """A request that was sent or found in the cache; `answer` waits for the reply."""

    payload: bytes | None
    reply: str = ""

    def answer(self, timeout: float | None = None) -> Embedded:
        """Return the embedding, waiting `timeout` seconds at most.

        Raises `ServiceError` when the worker refuses, or (`search_timeout`) does not reply in time.
        """
        if self.payload is not None:
            return Embedded.from_payload(self.payload, cached=True)
        payload = queue.wait_for_reply(self.reply, timeout or settings.QUERY_TIMEOUT)
        if payload is None:
            raise Unavailable("search_timeout", "The search took too long. Please try again.")
        return Embedded.from_payload(payload, cached=False)


def ask_stored(
    sha256: str, pipeline: str, fingerprint: str, box: str = "", look: bool = False
) -> Question:
    """Request the vector of (a box of) a stored query picture. With `look`, the worker also starts
    to compute its local features, which will be needed next."""
    remembered, waiting = queue.recall(vector_key(sha256, fingerprint, box), queue.QUERY)
    if remembered is not None:
        return Question(remembered)
    return _send(
        "query.embed",
        waiting,
        sha256=sha256,
        pipeline=pipeline,
        fingerprint=fingerprint,
        box=box,
        look=look,
    )


def ask_image(image_id: int, key: str, pipeline: str, fingerprint: str, box: str) -> Question:
    """Request the vector of a box of an image; `key` is that of its thumbnails."""
    remembered, waiting = queue.recall(vector_key(key, fingerprint, box), queue.QUERY)
    if remembered is not None:
        return Question(remembered)
    return _send(
        "query.embed_image",
        waiting,
        image_id=image_id,
        pipeline=pipeline,
        fingerprint=fingerprint,
        box=box,
    )


def regions_key(key: str) -> str:
    """Return the cache key of the regions of a picture; `key` is its content key."""
    return f"lookalike:regions:{key}"


def remembered_regions(key: str) -> list[list[float]] | None:
    """Return the cached regions of a picture as left, top, width, height; None when not cached."""
    payload, _ = queue.recall(regions_key(key), queue.QUERY)
    return None if payload is None else _regions(payload)


def ask_regions(key: str, image_id: int | None) -> list[list[float]]:
    """Let a worker find regions in a stored query picture or, with `image_id`, an image."""
    payload, waiting = queue.recall(regions_key(key), queue.QUERY)
    if payload is None:
        question = _send("query.regions", waiting, key=key, image_id=image_id)
        payload = queue.wait_for_reply(question.reply, settings.QUERY_TIMEOUT)
    if payload is None:
        raise Unavailable("search_timeout", "The picture took too long. Please try again.")
    return _regions(payload)


def _regions(payload: bytes) -> list[list[float]]:
    facts = json.loads(payload)
    if "error" in facts:
        raise refused(**facts["error"])
    regions: list[list[float]] = facts["regions"]
    return regions


def embed_address(
    url: str,
    token: str,
    sender: tuple[int | None, str],
    pipeline: str,
    fingerprint: str,
    box: str = "",
) -> Embedded:
    """Let a worker fetch a picture, store it as the query `token` of `sender` (a user's key, and
    whose share it takes), and embed it.

    A fetch may wait for somebody else's server, and a thread here and one of the worker with it. So
    only a share of them fetches at a time.

    Raises `Unavailable`, code `busy`, at once where that share is in use, and else what
    `Question.answer` does.
    """
    patience = settings.FETCH_TIMEOUT + settings.QUERY_TIMEOUT
    fetching = uuid.uuid4().hex
    if not queue.begin_fetch(fetching, settings.MAX_FETCHES, patience + 5):
        raise Unavailable(
            "busy", "Many pictures are being fetched from other sites. Please try again shortly."
        )
    try:
        question = _send(
            "query.fetch",
            queue.waiting(queue.QUERY),
            url=url,
            token=token,
            user_id=sender[0],
            client=sender[1],
            pipeline=pipeline,
            fingerprint=fingerprint,
            box=box,
        )
        return question.answer(patience)
    finally:
        queue.end_fetch(fetching)


def ask_thumbnail(sha256: str) -> None:
    """Let a worker decode a stored query picture and create its thumbnail, and wait for it.

    Raises `ServiceError` when the picture cannot be used, or no worker replies in time.
    """
    question = _send("query.thumbnail", queue.waiting(queue.QUERY), sha256=sha256)
    payload = queue.wait_for_reply(question.reply, settings.QUERY_TIMEOUT)
    if payload is None:
        raise Unavailable("search_timeout", "The picture took too long. Please try again.")
    facts = json.loads(payload)
    if "error" in facts:
        raise refused(**facts["error"])


def _send(task: str, waiting: int, **kwargs: str | int | None) -> Question:
    """Send a task to the query workers; `waiting` is the current length of their queue."""
    if waiting >= settings.MAX_WAITING_QUERIES:
        raise Unavailable("busy", "Very many searches are waiting. Please try again shortly.")
    reply = f"lookalike:reply:{uuid.uuid4().hex}"
    queue.send(task, answers=True, expires=settings.QUERY_TIMEOUT + 5, reply=reply, **kwargs)
    return Question(None, reply)
