"""The task that makes local features of ready images, while nothing more urgent waits."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence

from embeddings.errors import ImageError
from embeddings.geometry.local_features import VERSION
from searchapp.infra import queue
from searchapp.infra.queue import celery_app
from searchapp.models import Features, Image
from searchapp.services.ingest import claims, feature_claims
from searchapp.services.operations import cleanup
from worker.runtime.image_decoding import BadBox
from worker.runtime.local_features import make

log = logging.getLogger(__name__)
# A call takes about this long, so that other tasks of the pool have their turn.
BUDGET_SECONDS = 2.0
# How soon a call gives way to pictures that have come in.
_LOOK_SECONDS = 0.2


@celery_app.task(name=feature_claims.TASK)
def advance() -> None:
    """Make the features of some images, and call for the next.

    The call itself names nothing: it may be lost, doubled or late without harm. Pictures that are
    not searchable yet always come first.
    """
    with contextlib.suppress(queue.QueueUnavailable):  # the note ends by itself
        queue.called(feature_claims.TASK)
    if claims.waits():
        return  # the sweeper calls again
    claimed = feature_claims.claim()
    if not claimed:
        return
    feature_claims.call_workers()  # others may help
    outcome, whole = _made(claimed)
    gone = feature_claims.finish(claimed, outcome)
    if gone:  # deleted while we worked: so must be what we have just written
        files = {cleanup.Files.of(image) for image in claimed if image.pk in set(gone)}
        cleanup.remove_unused_files(list(files))
    if whole:
        feature_claims.call_workers()


def _made(claimed: Sequence[Image]) -> tuple[dict[int, int], bool]:
    """Make features while there is time; returns what became of each image, and whether a worker
    should go on at once."""
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
            outcome[image.pk] = Features.CANNOT
        except OSError as error:
            log.warning("local features wait for the storage: %s", error)
            return outcome, False
        except Exception:
            log.exception("the local features of image %d failed", image.pk)
            outcome[image.pk] = Features.CANNOT
    return outcome, True
