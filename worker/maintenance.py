"""Tasks that look after what fell between two chairs."""

from __future__ import annotations

import logging

from searchapp.queue import celery_app
from searchapp.services import cleanup, ingest, jobs, ledger, partial_uploads
from searchapp.services.imports import cleaning

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
    partial_uploads.hand_over_forgotten()
    cleaning.sweep()
    cleanup.forget_vectors()
    jobs.settle_all()


@celery_app.task(name="maintenance.tidy")
def tidy() -> None:
    """Delete query pictures whose day is over, and drafts of uploads that never ended."""
    while cleanup.expire_queries() == 500:
        pass
    cleanup.remove_old_drafts()
    while partial_uploads.expire() >= partial_uploads.MOST_AT_ONCE:
        pass
    cleaning.tidy()
