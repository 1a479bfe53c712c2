"""Comparison of two pictures: score, kind of match, geometry and explanation.

The query workers do the work (`worker.tasks.compare`). Their answers are cached for some minutes,
so that a page, its heatmaps and a reload cost one comparison.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser

from embeddings.geometry.kinds import Edit, Kind
from embeddings.recipes import DEFAULT_PIPELINE, recipe
from searchapp.infra import queue
from searchapp.models import Image, ImageState, Index, Query
from searchapp.services import calibration
from searchapp.services.errors import Conflict, Invalid, ServiceError, Unavailable
from searchapp.services.query_rpc import refused
from searchapp.services.search.box import Box, parse_box
from searchapp.services.search.stored_queries import find_query
from searchapp.services.search.verification import GeometrySummary, VerificationSubject, Verified

if TYPE_CHECKING:
    from django.contrib.auth.models import User

COMPARE = "query.compare"
EXPLAIN = "query.explain"
REMEMBERED_SECONDS = 900
_MAX_KEY = 2**63 - 1


@dataclass(frozen=True)
class ComparedPicture:
    """One of the two pictures: a stored query picture or image, or a box of it."""

    query: Query | None = None
    image: Image | None = None
    box: Box | None = None

    @property
    def picture(self) -> Query | Image:
        picture = self.query or self.image
        assert picture is not None  # noqa: S101 (one of the two is always given)
        return picture

    @property
    def subject(self) -> VerificationSubject:
        return VerificationSubject.of(self.picture, self.box)

    @property
    def content(self) -> str:
        """A cache key, equal for equal pixels."""
        if self.image is not None:
            return f"{self.image.thumbnail_key}:{self.box or ''}"
        return f"{self.picture.sha256}:{self.box or ''}"


@dataclass(frozen=True)
class ComparedPipeline:
    """The pipeline of a comparison, and the index that it was taken from, if any."""

    name: str
    fingerprint: str
    index: Index | None = None


@dataclass(frozen=True)
class PairComparison:
    """The result of comparing two pictures. Sizes are width and height in pixels."""

    first: ComparedPicture
    second: ComparedPicture
    pipeline: ComparedPipeline
    score: float
    kind: Kind
    edits: tuple[Edit, ...]
    reason: str
    geometry: GeometrySummary
    first_facts: Mapping[str, Any] = field(default_factory=dict)  # width, height, format
    second_facts: Mapping[str, Any] = field(default_factory=dict)
    took_ms: float = 0.0
    cached: bool = False


@dataclass(frozen=True)
class Explanation:
    """The contributions of regions to the score of a match.

    `overlays` are two WebP heatmaps, one per picture; `grids` and `pairs` hold the contribution of
    each pair of places: see `embeddings.heatmaps.similarity`. `exact` is true when they sum to
    `score`.
    """

    score: float
    exact: bool
    grids: tuple[Mapping[str, Any], Mapping[str, Any]]
    pairs: bytes
    overlays: tuple[bytes, bytes]


# URL parameters of the two sides: image, query and box of each.
FIRST_NAMES = ("image", "query", "box")
SECOND_NAMES = ("with", "with_query", "with_box")


def parameters(first: ComparedPicture | None, second: ComparedPicture | None) -> dict[str, str]:
    """Return the URL parameters for these sides; `side_of` reads them."""
    named: dict[str, str] = {}
    for side, (image, query, box) in ((first, FIRST_NAMES), (second, SECOND_NAMES)):
        if side is not None:
            named[image if side.image is not None else query] = str(side.picture.pk)
            if side.box is not None:
                named[box] = str(side.box)
    return named


def side_of(
    params: Mapping[str, Any], names: tuple[str, str, str], user: User | AnonymousUser
) -> ComparedPicture | None:
    """Return the side given by URL parameters, or None when they give none.

    Raises `ServiceError` when the picture cannot be used: `not_found` (also when the user may not
    see it), `query_gone`, `image_not_ready`, `invalid_box`.
    """
    image, query, box = (params.get(name) or "" for name in names)
    if image:
        return ComparedPicture(image=find_image(image, user), box=parse_box(box))
    if query:
        return ComparedPicture(query=find_query(str(query)[:64]), box=parse_box(box))
    return None


def find_image(image_id: Any, user: User | AnonymousUser) -> Image:
    """Return a ready image that the user may see, by its id.

    Raises `ServiceError` (`not_found`, `image_not_ready`) when there is none.
    """
    text = str(image_id).strip()
    key = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    visible = Image.objects.visible_to(user).select_related("dataset")
    image = visible.filter(pk=key).first() if 0 < key <= _MAX_KEY else None
    if image is None:
        raise ServiceError("not_found", f"There is no picture {text[:40]}.", status=404)
    if image.state != ImageState.READY:
        raise Conflict(
            "image_not_ready",
            f"The picture {image.pk} is {image.state}: only one that is ready can be compared.",
        )
    return image


def pipeline_of(first: ComparedPicture, second: ComparedPicture) -> ComparedPipeline:
    """Return the pipeline to compare with: that of the second image's dataset, where a search may
    have found it; else that of the first image's dataset; else the default one."""
    for side in (second, first):
        if side.image is not None:
            index = side.image.dataset.active_index
            return ComparedPipeline(index.pipeline, index.fingerprint, index)
    return ComparedPipeline(DEFAULT_PIPELINE, recipe(DEFAULT_PIPELINE).fingerprint)


def compare(first: ComparedPicture, second: ComparedPicture) -> PairComparison:
    """Compare two pictures.

    Raises `ServiceError` when the worker refuses, or (`busy`, `compare_timeout`,
    `queue_unavailable`) when none answers.
    """
    pipeline = pipeline_of(first, second)
    payload, cached = _ask(COMPARE, first, second, pipeline)
    result = json.loads(payload)
    if "error" in result:
        raise refused(**result["error"])
    verified = Verified.from_json(result)
    kind, reason = verified.verdict.kind, verified.verdict.reason
    if kind is None:
        kind, reason = _by_score(result["score"], pipeline)
    return PairComparison(
        first=first,
        second=second,
        pipeline=pipeline,
        score=result["score"],
        kind=kind,
        edits=verified.verdict.edits,
        reason=reason,
        geometry=verified.geometry,
        first_facts=result["first"],
        second_facts=result["second"],
        took_ms=result["took_ms"],
        cached=cached,
    )


def _by_score(score: float, pipeline: ComparedPipeline) -> tuple[Kind, str]:
    """Return kind and reason by the calibrated cut-off, when geometry gives no verdict."""
    if pipeline.index is not None:
        bounds = calibration.bounds_of([pipeline.index])
    else:
        bounds = calibration.general_bounds(pipeline.name)
    if score >= bounds.usual:
        return Kind.SIMILAR, f"No points lie alike, but the score is {bounds.usual:.2f} or more."
    return Kind.WEAK, f"No points lie alike, and the score is below {bounds.usual:.2f}."


def explain(first: ComparedPicture, second: ComparedPicture) -> Explanation:
    """Explain which regions of two pictures contribute to their score.

    Raises `ServiceError` when `compare` does.
    """
    payload, _ = _ask(EXPLAIN, first, second, pipeline_of(first, second))
    line, _, pictures = payload.partition(b"\n")
    result = json.loads(line)
    if "error" in result:
        raise refused(**result["error"])
    length = result["lengths"][0]
    return Explanation(
        score=result["score"],
        exact=result["exact"],
        grids=(result["first"], result["second"]),
        pairs=base64.b64decode(result["pairs"]),
        overlays=(pictures[:length], pictures[length:]),
    )


def _ask(
    task: str, first: ComparedPicture, second: ComparedPicture, pipeline: ComparedPipeline
) -> tuple[bytes, bool]:
    """Return the worker's answer to a comparison, and whether it came from the cache."""
    if first.content == second.content and first.picture == second.picture:
        raise Invalid("same_picture", "These are one and the same picture: choose another one.")
    pair = f"{first.content} {second.content} {pipeline.fingerprint}"
    key = f"lookalike:{task}:{hashlib.sha256(pair.encode()).hexdigest()}"
    remembered, waiting = queue.recall(key, queue.QUERY)
    if remembered is not None:
        return remembered, True
    if waiting >= settings.MAX_WAITING_QUERIES:
        raise Unavailable("busy", "Very many searches are waiting. Please try again shortly.")
    reply = f"lookalike:reply:{uuid.uuid4().hex}"
    queue.send(
        task,
        answers=True,
        expires=settings.QUERY_TIMEOUT + 5,
        reply=reply,
        first=first.subject.to_json(),
        second=second.subject.to_json(),
        pipeline=pipeline.name,
        fingerprint=pipeline.fingerprint,
        remember=key,
    )
    payload = queue.wait_for_reply(reply, settings.QUERY_TIMEOUT)
    if payload is None:
        raise Unavailable("compare_timeout", "The comparison took too long. Please try again.")
    return payload, False
