"""Tasks that look after what fell between two chairs."""

from __future__ import annotations

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
)
from searchapp.services.imports import cleaning

log = logging.getLogger(__name__)
# A sweep of the list of vectors to forget ends in time for the next one.
_FORGET_CALLS = 10


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
    cleaning.sweep()
    partial_uploads.hand_over_forgotten()
    for _ in range(_FORGET_CALLS):
        if cleanup.forget_vectors() < cleanup.FORGET_AT_ONCE:
            break
    jobs.settle_all()
    moving.finish_moves()


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
