"""Tasks that look after what fell between two chairs."""

from __future__ import annotations

import logging

from searchapp.queue import celery_app
from searchapp.services import audit, cleanup, index_building, indexes, ingest, jobs, ledger

log = logging.getLogger(__name__)


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
    if audit.waits():
        audit.call_worker()
    cleanup.forget_vectors()
    jobs.settle_all()


@celery_app.task(name="maintenance.tidy")
def tidy() -> None:
    """Delete query pictures whose day is over, and drafts of uploads that never ended."""
    while cleanup.expire_queries() == 500:
        pass
    cleanup.remove_old_drafts()
