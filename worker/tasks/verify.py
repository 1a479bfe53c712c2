"""The task that verifies candidates of a search: compares them with the query by geometry."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from embeddings.errors import ImageError
from embeddings.geometry.feature_matching import Geometry, match
from embeddings.geometry.kinds import Kind, Verdict
from embeddings.geometry.local_features import VERSION, LocalFeatures
from embeddings.geometry.local_features import local_features as find_features
from embeddings.geometry.verdicts import judge
from searchapp.infra.queue import celery_app
from searchapp.models import Image, ImageState
from searchapp.services.ingest import feature_claims as feature_service
from searchapp.services.search import verification
from searchapp.services.search.verification import VerificationSubject
from worker.runtime import local_features
from worker.runtime.comparison_side import COLUMNS, ComparisonSide
from worker.runtime.image_decoding import BadBox
from worker.runtime.replies import Reply, answer

log = logging.getLogger(__name__)
# Grey levels by which the small copies of images with equal pixels differ at most: one of them may
# have been decoded at a smaller size.
_SMALL_DIFFERENCE = 3.0


@celery_app.task(name=verification.TASK)
def verify(reply: str, subject: dict[str, Any], images: list[int], budget_ms: float) -> None:
    """Compare an image with stored images, in the given order, until the time budget is spent."""
    answer(
        reply, lambda: Reply(_verified(VerificationSubject.from_json(subject), images, budget_ms))
    )


def warm_up() -> None:
    """Compare once: what the first comparison loads takes longer than a search's time budget."""
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    features = find_features(PillowImage.fromarray(noise))
    judge(match(features, features), features, features)


def _verified(subject: VerificationSubject, keys: list[int], budget_ms: float) -> bytes:
    until = time.monotonic() + budget_ms / 1000
    ids = {*keys, subject.image}
    rows = Image.objects.filter(pk__in=ids, state=ImageState.READY).only(*COLUMNS).order_by()
    images = rows.in_bulk()
    side = ComparisonSide.of(subject, images.get(subject.image))
    others = [images[pk] for pk in keys if pk in images]
    known = local_features.stored(others)
    # At least half of the budget is for comparisons, however long the query's features took.
    until = max(until, time.monotonic() + budget_ms / 2000)
    verified: dict[int, dict[str, Any]] = {}
    computed_images: list[Image] = []
    for image in others:
        if time.monotonic() > until:
            break
        features = known.get(image.pk)
        if features is None:
            features = made_now(image)
            if features is None:
                continue
            computed_images.append(image)
        verdict, geometry = compare(side, ComparisonSide(features, image=image))
        verified[image.pk] = told(verdict, geometry)
        del verified[image.pk]["keypoints"]  # lists of results do not show them
    if computed_images:
        feature_service.note(computed_images, VERSION)
    return json.dumps({"verified": verified}).encode()


def told(verdict: Verdict, geometry: Geometry) -> dict[str, Any]:
    """Return verdict and geometry in the form that `Verified.from_json` reads."""
    return {
        "kind": verdict.kind,
        "edits": verdict.edits,
        "reason": verdict.reason,
        "inliers": geometry.inliers,
        "agreement": geometry.agreement,
        "closeness": geometry.closeness,
        "transform": geometry.transform,
        "mirrored": geometry.mirrored,
        "outline": geometry.outline,
        "keypoints": geometry.keypoints,
    }


def made_now(image: Image) -> LocalFeatures | None:
    """Compute the features of a candidate that has none yet; None when that is impossible."""
    try:
        return local_features.make(image)
    except (ImageError, BadBox, OSError) as error:
        log.info("image %d cannot be compared: %s", image.pk, error)
    except Exception:
        log.exception("image %d cannot be compared", image.pk)
    return None


def compare(query: ComparisonSide, other: ComparisonSide) -> tuple[Verdict, Geometry]:
    """Match the features of two images; return the verdict and the geometry."""
    geometry = match(query.features, other.features)
    same_bytes = query.is_whole and other.is_whole and query.sha256 == other.sha256
    verdict = judge(geometry, query.features, other.features, same_bytes=same_bytes)
    if verdict.kind != Kind.IDENTICAL and _have_same_pixels(query, other):
        verdict = judge(geometry, query.features, other.features, same_pixels=True)
    return verdict, geometry


def _have_same_pixels(query: ComparisonSide, other: ComparisonSide) -> bool:
    """Whether two files have equal pixels, for example saved in two lossless formats."""
    one, two = query.features, other.features
    if (one.width, one.height) != (two.width, two.height) or one.small.shape != two.small.shape:
        return False
    difference = np.abs(one.small.astype(np.int16) - two.small.astype(np.int16)).mean()
    if difference > _SMALL_DIFFERENCE:
        return False
    here, there = query.pixels(), other.pixels()
    return here is not None and there is not None and np.array_equal(here, there)
