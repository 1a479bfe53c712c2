"""The task that compares a query with candidates, by geometry."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict
from typing import Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from embeddings.errors import ImageError
from embeddings.explain.kinds import Kind, Verdict, judge
from embeddings.explain.local_features import VERSION, LocalFeatures
from embeddings.explain.matching import Geometry, match
from embeddings.operators.decode import decode
from searchapp import storage
from searchapp.models import Image, ImageState
from searchapp.queue import celery_app
from searchapp.services import features as feature_service
from searchapp.services import verification
from searchapp.services.errors import Gone
from searchapp.services.verification import Subject
from worker import local_features
from worker.answering import Reply, answer
from worker.decoding import BadBox, cut_out

log = logging.getLogger(__name__)
# Only pictures of up to this size are decoded once more to compare all their pixels.
_MOST_PIXELS = 30_000_000
# Of pictures with the same pixels, what is kept of them differs by no more: one may have been
# decoded in a quicker way.
_SMALL_DIFFERENCE = 3.0
_COLUMNS = ("sha256", "box", "reference", "width", "height", "features", "state")


@celery_app.task(name=verification.TASK)
def verify(reply: str, subject: dict[str, Any], images: list[int], budget_ms: float) -> None:
    """Compare a picture with stored images, in their order, until the time is over."""
    answer(reply, lambda: Reply(_verified(Subject.from_json(subject), images, budget_ms)))


def _verified(subject: Subject, keys: list[int], budget_ms: float) -> bytes:
    until = time.monotonic() + budget_ms / 1000
    wanted = {*keys, subject.image}
    rows = Image.objects.filter(pk__in=wanted, state=ImageState.READY).only(*_COLUMNS).order_by()
    found = rows.in_bulk()
    side = Side.of(subject, found)
    others = [found[pk] for pk in keys if pk in found]
    known = local_features.stored(others)
    until = max(until, time.monotonic() + budget_ms / 2000)  # however long the query itself took
    verified: dict[int, dict[str, Any]] = {}
    made: list[Image] = []
    for image in others:
        if time.monotonic() > until:
            break
        features = known.get(image.pk)
        if features is None:
            features = made_now(image)
            if features is None:
                continue
            made.append(image)
        verdict, geometry = compare(side, Side(features, image=image))
        told = asdict(geometry) | {
            "kind": verdict.kind,
            "edits": verdict.edits,
            "reason": verdict.reason,
        }
        del told["keypoints"]
        verified[image.pk] = told
    if made:
        feature_service.note(made, VERSION)
    return json.dumps({"verified": verified}).encode()


class Side:
    """One of two pictures: its features, and where its pixels are."""

    def __init__(
        self, features: LocalFeatures, *, image: Image | None = None, subject: Subject | None = None
    ) -> None:
        self.features = features
        self._image = image
        self._subject = subject or Subject()
        self._pixels: NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, subject: Subject, rows: dict[int, Image]) -> Side:
        """Read, recall or make the features of a subject, whose row is in `rows` if it has one.

        Raises:
            Gone: code `image_gone` where the image is not ready, or not there any more.
            ImageError, FileNotFoundError: where it cannot be looked at.
        """
        if subject.query:
            return cls(local_features.of_query(subject.query, subject.box), subject=subject)
        image = rows.get(subject.image)
        if image is None:
            raise Gone("image_gone", "This picture is gone, or it is not ready.")
        if subject.box is not None:
            shown = local_features.crop(local_features.decoded(image, whole=True), subject.box)
            return cls(local_features.of_decoded(shown), image=image, subject=subject)
        features = local_features.stored([image]).get(image.pk)
        return cls(features or local_features.make(image), image=image)

    @property
    def is_whole(self) -> bool:
        """Whether it is a file as it came, whose bytes may be those of another."""
        return self._subject.box is None and (self._image is None or self._image.box is None)

    @property
    def sha256(self) -> str:
        return self._image.sha256 if self._image is not None else self._subject.query

    def pixels(self) -> NDArray[np.uint8] | None:
        """All its pixels; None where they are not at hand."""
        if self._pixels is None:
            if self._image is not None and self._image.reference:
                return None  # nothing is fetched again for this
            if self.features.width * self.features.height > _MOST_PIXELS:
                return None
            opened = storage.open_query if self._image is None else storage.open_original
            try:
                with opened(self.sha256) as file:
                    whole = decode(file, max_pixels=settings.MAX_PIXELS)
            except (ImageError, OSError):
                return None
            if self._image is not None:
                whole = cut_out(self._image, whole)
            if self._subject.box is not None:
                whole = local_features.crop(whole, self._subject.box)
            self._pixels = np.asarray(whole.image)
        return self._pixels


def made_now(image: Image) -> LocalFeatures | None:
    """Make the features of a candidate that has none yet; None where it cannot have any."""
    try:
        return local_features.make(image)
    except (ImageError, BadBox, OSError) as error:
        log.info("image %d cannot be compared: %s", image.pk, error)
    except Exception:
        log.exception("image %d cannot be compared", image.pk)
    return None


def compare(query: Side, other: Side) -> tuple[Verdict, Geometry]:
    """Lay one picture on the other and judge."""
    geometry = match(query.features, other.features)
    same_bytes = query.is_whole and other.is_whole and query.sha256 == other.sha256
    verdict = judge(geometry, query.features, other.features, same_bytes=same_bytes)
    if verdict.kind != Kind.IDENTICAL and _have_same_pixels(query, other):
        verdict = judge(geometry, query.features, other.features, same_pixels=True)
    return verdict, geometry


def _have_same_pixels(query: Side, other: Side) -> bool:
    """Whether two files show exactly the same, saved without loss in two ways."""
    one, two = query.features, other.features
    if (one.width, one.height) != (two.width, two.height) or one.small.shape != two.small.shape:
        return False
    difference = np.abs(one.small.astype(np.int16) - two.small.astype(np.int16)).mean()
    if difference > _SMALL_DIFFERENCE:
        return False
    here, there = query.pixels(), other.pixels()
    return here is not None and there is not None and np.array_equal(here, there)
