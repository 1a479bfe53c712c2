"""The task that computes local features of ready images, at low priority."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence

from embeddings.errors import ImageError
from embeddings.geometry.local_features import VERSION
from searchapp.infra import queue
from searchapp.infra.queue import celery_app
from searchapp.models import FeatureState, Image
from searchapp.services.ingest import claims, feature_claims
from searchapp.services.operations import cleanup
from worker.runtime.image_decoding import BadBox
from worker.runtime.local_features import make

log = logging.getLogger(__name__)
# A call takes about this long, so that other tasks of the pool can run.
BUDGET_SECONDS = 2.0
# How often a call checks for received images, which come first.
_LOOK_SECONDS = 0.2


@celery_app.task(name=feature_claims.TASK)
def advance() -> None:
    """Compute the features of some images, then queue the next call.

    The call names no images: it may be lost, duplicated or late without harm. Images that are not
    searchable yet always come first.
    """
    with contextlib.suppress(queue.QueueUnavailable):  # the marker expires anyway
        queue.called(feature_claims.TASK)
    if claims.waits():
        return  # the sweeper calls again
    claimed = feature_claims.claim()
    if not claimed:
        return
    feature_claims.call_workers()  # others may work beside this one
    outcome, whole = _made(claimed)
    gone = feature_claims.finish(claimed, outcome)
    if gone:  # deleted meanwhile: delete the files that were just written, too
        files = {cleanup.Files.of(image) for image in claimed if image.pk in set(gone)}
        cleanup.remove_unused_files(list(files))
    if whole:
        feature_claims.call_workers()


def _made(claimed: Sequence[Image]) -> tuple[dict[int, int], bool]:
    """Compute features while there is time.

    Returns the outcome of each image by id, and whether a worker should continue at once.
    """
    outcome: dict[int, int] = {}
    began = looked = time.monotonic()
    for image in claimed:
        now = time.monotonic()
        if now - began > BUDGET_SECONDS:
            break
        if now - looked > _LOOK_SECONDS:
            looked = now
            if claims.waits():
                return outcome, False
        try:
            make(image)
            outcome[image.pk] = VERSION
        except (ImageError, BadBox, FileNotFoundError) as error:
            log.info("image %d has no local features: %s", image.pk, error)
            outcome[image.pk] = FeatureState.CANNOT
        except OSError as error:
            log.warning("local features wait for the storage: %s", error)
            return outcome, False
        except Exception:
            log.exception("the local features of image %d failed", image.pk)
            outcome[image.pk] = FeatureState.CANNOT
    return outcome, True
