"""The claim on an import job, with its lease, and the task that wakes a worker for it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from searchapp.infra import queue
from searchapp.models import ACTIVE_JOBS, ImportJob

log = logging.getLogger(__name__)
TASK = "imports.advance"
_LEASE = timedelta(seconds=60)


class ClaimLost(Exception):
    """The job was paused, cancelled, or claimed by another worker: nothing more may be written."""


def lease_end() -> datetime:
    return timezone.now() + _LEASE


def held(job: ImportJob) -> QuerySet[ImportJob]:
    """Return the job's row, while it is active and claimed by the caller."""
    return ImportJob.objects.filter(pk=job.pk, claim=job.claim, state__in=ACTIVE_JOBS)


def renew(job: ImportJob) -> None:
    """Extend the lease. Raises `ClaimLost` when the job is no longer claimed by the caller."""
    if not held(job).update(lease_until=lease_end()):
        raise ClaimLost


def wake_worker() -> None:
    """Send the task that advances imports, unless one is waiting already.

    A lost task does no harm: the periodic sweep sends the next.
    """
    try:
        queue.send_once(TASK)
    except queue.QueueUnavailable:
        log.warning("Redis is down: imports wait for the sweeper")
