"""Geometric verification of candidates: tells copies of a picture from look-alikes.

The query workers do the work; see `worker.tasks.verify`. A missing or late answer is not an error:
the caller continues with the scores alone.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings

from embeddings.geometry.kinds import Edit, Kind, Verdict
from searchapp.infra import queue
from searchapp.models import Image, Query

if TYPE_CHECKING:
    from searchapp.services.search.box import Box

log = logging.getLogger(__name__)
TASK = "query.verify"
# Time allowed beyond the budget: for the query's own features and the queue.
_PATIENCE_SECONDS = 0.6
# Candidates of one call.
MAX_IMAGES = 50

Place = tuple[float, float]


@dataclass(frozen=True)
class VerificationSubject:
    """The picture to compare others with: a query picture, a stored image, or a part of either.

    `box` is left, top, width and height of the part, as shares of the upright picture.
    """

    query: str = ""  # SHA-256 of a stored query picture
    image: int = 0  # id of a stored image, where it is one
    box: tuple[float, float, float, float] | None = None

    @classmethod
    def of(cls, picture: Query | Image, box: Box | None = None) -> VerificationSubject:
        part = None if box is None else box.numbers
        if isinstance(picture, Query):
            return cls(query=picture.sha256, box=part)
        return cls(image=picture.pk, box=part)

    def to_json(self) -> dict[str, Any]:
        return {"query": self.query, "image": self.image, "box": self.box}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> VerificationSubject:
        return cls(data["query"], data["image"], data["box"] and tuple(data["box"]))


@dataclass(frozen=True)
class GeometrySummary:
    """How the subject maps onto another picture; see `embeddings.geometry.feature_matching`.

    Points are shares of the sides. `closeness`, up to 1, is how closely the common area agrees: of
    two copies, the one with the higher value has less written over it. `keypoints` are pairs of
    points, in the subject and in the other picture, when they were requested.
    """

    inliers: int
    agreement: float
    transform: list[list[float]] | None
    mirrored: bool
    outline: list[Place] | None
    keypoints: list[tuple[Place, Place]]
    closeness: float = 0.0


@dataclass(frozen=True)
class Verified:
    verdict: Verdict
    geometry: GeometrySummary

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Verified:
        kind = data["kind"]
        edits = tuple(Edit(edit) for edit in data["edits"])
        outline = data["outline"]
        return cls(
            Verdict(None if kind is None else Kind(kind), edits, data["reason"]),
            GeometrySummary(
                inliers=data["inliers"],
                agreement=data["agreement"],
                transform=data["transform"],
                mirrored=data["mirrored"],
                outline=None if outline is None else [(x, y) for x, y in outline],
                keypoints=[((a[0], a[1]), (b[0], b[1])) for a, b in data.get("keypoints", ())],
                closeness=data.get("closeness", 0.0),
            ),
        )


def verify(
    subject: VerificationSubject, images: Sequence[int], budget_ms: float = 150.0
) -> dict[int, Verified]:
    """Compare `subject` with stored images, given by id, the most promising first.

    Returns the results within the budget, by image id. A missing image was not reached, cannot be
    compared, or was deleted. The result is empty when no worker answers. Never raises.
    """
    if not images:
        return {}
    patience = budget_ms / 1000 + _PATIENCE_SECONDS
    reply = f"lookalike:reply:{uuid.uuid4().hex}"
    try:
        if queue.waiting(queue.QUERY) >= settings.MAX_WAITING_QUERIES:
            return {}
        queue.send(
            TASK,
            answers=True,
            expires=patience,
            reply=reply,
            subject=subject.to_json(),
            images=list(images[:MAX_IMAGES]),
            budget_ms=budget_ms,
        )
        payload = queue.wait_for_reply(reply, patience)
    except queue.QueueUnavailable:
        return {}
    if payload is None:
        return {}
    result = json.loads(payload)
    if "error" in result:
        log.info("nothing was verified: %s", result["error"]["detail"])
        return {}
    return {int(pk): Verified.from_json(one) for pk, one in result["verified"].items()}
