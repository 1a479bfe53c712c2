"""How far an import has come."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count

from searchapp.models import ImageState, ImportJob


@dataclass(frozen=True)
class JobProgress:
    """Files by outcome; `waiting` are those without one yet."""

    state: str
    total: int
    ready: int
    rejected: int
    failed: int
    waiting: int


def progress(job: ImportJob) -> JobProgress:
    """Count the job's ledger. States: queued, running, finished, finished_with_errors."""
    rows = job.items.order_by().values_list("state").annotate(number=Count("pk"))
    by_state = dict(rows)
    ready = by_state.get(ImageState.READY, 0)
    rejected = by_state.get(ImageState.REJECTED, 0)
    failed = by_state.get(ImageState.FAILED, 0)
    waiting = job.total - ready - rejected - failed
    if waiting:
        state = "queued" if by_state.get(ImageState.RECEIVED, 0) == job.total else "running"
    else:
        state = "finished_with_errors" if rejected or failed else "finished"
    return JobProgress(state, job.total, ready, rejected, failed, waiting)
