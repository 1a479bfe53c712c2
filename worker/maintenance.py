"""Tasks that look after what fell between two chairs."""

from __future__ import annotations

import contextlib
import logging

from searchapp import queue
from searchapp.queue import celery_app
from searchapp.services import (
    audit,
    cleanup,
    deleting,
    features,
    index_building,
    indexes,
    ingest,
    jobs,
    ledger,
    moving,
    partial_uploads,
    scalars,
)
from searchapp.services.filters import facets
from searchapp.services.imports import cleaning
from searchapp.vectors.errors import VectorsUnavailable

log = logging.getLogger(__name__)
# A sweep of the list of vectors to forget ends in time for the next one.
_FORGET_CALLS = 10
# A call takes about this long: other tasks have their turn in between.
_SCALARS_SECONDS = 3.0


@celery_app.task(name="maintenance.sweep")
def sweep() -> None:
    """Free what dead workers held, call again for what waits, forget what was deleted."""
    freed = ledger.free_expired()
    if freed:
        log.warning("%d images were held by a worker that died", freed)
    waiting = ledger.waiting()
    if waiting:
        ingest.wake(waiting)
    if index_building.waiting():
        indexes.call_workers()
    features.free_expired()
    if not waiting and features.waits():
        features.call_workers()
    if audit.waits():
        audit.call_worker()
    if scalars.waits():
        scalars.call_worker()
    facets.want_first_counts()
    if facets.waits():
        facets.call_worker()
    cleaning.sweep()
    partial_uploads.hand_over_forgotten()
    for _ in range(_FORGET_CALLS):
        if cleanup.forget_vectors() < cleanup.FORGET_AT_ONCE:
            break
    jobs.settle_all()
    moving.finish_moves()


@celery_app.task(name=scalars.TASK)
def write_scalars() -> None:
    """Bring the scalars in Milvus in step with the rows, for a few seconds, and call again."""
    with contextlib.suppress(queue.QueueUnavailable):  # the note ends by itself
        queue.called(scalars.TASK)
    try:
        more = scalars.work(_SCALARS_SECONDS)
    except VectorsUnavailable as error:
        log.warning("scalars must wait: %s", error)
        return
    if more:
        scalars.call_worker()


@celery_app.task(name=facets.TASK)
def count_facets() -> None:
    """Count what the pictures of one dataset can be filtered by, and call for the next."""
    with contextlib.suppress(queue.QueueUnavailable):
        queue.called(facets.TASK)
    if facets.count_next():
        facets.call_worker()


@celery_app.task(name="maintenance.tidy")
def tidy() -> None:
    """Delete query pictures whose day is over, and drafts of uploads that never ended; remove what
    was deleted more than a day ago."""
    while cleanup.expire_queries() == 500:
        pass
    cleanup.remove_old_drafts()
    cleaning.tidy()
    while partial_uploads.expire() >= partial_uploads.MOST_AT_ONCE:
        pass
    purge()


@celery_app.task(name="maintenance.purge")
def purge() -> None:
    """Remove, for good, some of what was deleted more than a day ago, and call for the next part:
    a worker deals with other things in between."""
    if deleting.purge():
        queue.send("maintenance.purge")
