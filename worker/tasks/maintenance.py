"""Periodic clean-up tasks: expired leases, lost calls, deleted images, expired queries."""

from __future__ import annotations

import contextlib
import logging

from searchapp.infra import queue
from searchapp.infra.queue import celery_app
from searchapp.infra.vectors.errors import VectorsUnavailable
from searchapp.services import audit
from searchapp.services.datasets import dataset_deletion
from searchapp.services.filters import facets, scalar_sync
from searchapp.services.images import moves
from searchapp.services.imports import import_cleanup, job_progress
from searchapp.services.indexes import build, lifecycle
from searchapp.services.ingest import acceptance, claims, feature_claims
from searchapp.services.operations import cleanup
from searchapp.services.uploads import resumable

log = logging.getLogger(__name__)
# Batches of vectors deleted in one sweep, so that it ends before the next one starts.
_FORGET_CALLS = 10
# A call takes about this long, so that other tasks can run in between.
_SCALARS_SECONDS = 3.0


@celery_app.task(name="maintenance.sweep")
def sweep() -> None:
    """Release expired leases, queue calls for pending work, delete vectors of deleted images."""
    freed = claims.free_expired()
    if freed:
        log.warning("%d images were held by a worker that died", freed)
    waiting = claims.waiting()
    if waiting:
        acceptance.wake(waiting)
    if build.waiting():
        lifecycle.call_workers()
    feature_claims.free_expired()
    if not waiting and feature_claims.waits():
        feature_claims.call_workers()
    if audit.waits():
        audit.call_worker()
    if scalar_sync.waits():
        scalar_sync.call_worker()
    facets.want_first_counts()
    if facets.waits():
        facets.call_worker()
    import_cleanup.sweep()
    resumable.hand_over_forgotten()
    for _ in range(_FORGET_CALLS):
        if cleanup.forget_vectors() < cleanup.FORGET_AT_ONCE:
            break
    moves.finish_moves()
    job_progress.settle_all()


@celery_app.task(name=scalar_sync.TASK)
def write_scalars() -> None:
    """Update the scalars in Milvus from the rows for a few seconds, then queue the next call."""
    with contextlib.suppress(queue.QueueUnavailable):  # the marker expires anyway
        queue.called(scalar_sync.TASK)
    try:
        more = scalar_sync.work(_SCALARS_SECONDS)
    except VectorsUnavailable as error:
        log.warning("scalars must wait: %s", error)
        return
    if more:
        scalar_sync.call_worker()


@celery_app.task(name=facets.TASK)
def count_facets() -> None:
    """Count the filter values of one dataset's images, then queue the next call."""
    with contextlib.suppress(queue.QueueUnavailable):
        queue.called(facets.TASK)
    if facets.count_next():
        facets.call_worker()


@celery_app.task(name="maintenance.tidy")
def tidy() -> None:
    """Delete expired query images and unfinished uploads; purge what was deleted long ago."""
    while cleanup.expire_queries() == 500:
        pass
    cleanup.remove_old_drafts()
    import_cleanup.tidy()
    while resumable.expire() >= resumable.MAX_AT_ONCE:
        pass
    purge()


@celery_app.task(name="maintenance.purge")
def purge() -> None:
    """Purge some of what was deleted more than a day ago, then queue the next call.

    Other tasks can run in between.
    """
    if dataset_deletion.purge():
        queue.send("maintenance.purge")
