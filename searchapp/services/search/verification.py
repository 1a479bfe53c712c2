"""What pictures are to each other, by their geometry: the vector finds candidates, this tells
copies from look-alikes.

The query pool does the work; see `worker.tasks.verify`. An answer that does not come in time is no
error: whoever asked goes on with the scores alone.
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
# What a search may wait for beyond the budget: the query's own features, and the way there.
_PATIENCE_SECONDS = 0.6
# Candidates of one call.
MAX_IMAGES = 50

Place = tuple[float, float]


@dataclass(frozen=True)
class VerificationSubject:
    """What others are compared with: a query picture or a stored image, or a part of it.

    `box` is the left, top, width and height of the part, as shares of the upright picture.
    """

    query: str = ""  # SHA-256 of a query picture that is kept
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
    """How the subject lies on another picture; see `embeddings.geometry.feature_matching`.

    Places are shares of the sides. `closeness` is how closely what both show agrees, up to 1: of
    two copies, the higher one has less written over it. `keypoints` are pairs of places, in the
    subject and in the other, where they were asked for.
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
    """Compare `subject` with stored images, named by id, the most promising first.

    Returns what was found within the budget: an image that is missing in the answer was not
    reached, cannot be compared, or is gone; all are where no worker answers. Never raises.
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
    told = json.loads(payload)
    if "error" in told:
        log.info("nothing was verified: %s", told["error"]["detail"])
        return {}
    return {int(pk): Verified.from_json(one) for pk, one in told["verified"].items()}
