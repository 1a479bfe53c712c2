"""Progress of an import job, and when it is finished."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone

from searchapp.models import (
    ACTIVE_JOBS,
    ENDED_JOBS,
    PENDING_ITEMS,
    ImportItem,
    ImportJob,
    ImportSource,
    ItemState,
    JobState,
)


@dataclass(frozen=True)
class JobProgress:
    """Files by outcome; `waiting` are those without one."""

    state: str
    total: int
    ready: int
    rejected: int
    failed: int
    checked: int
    cancelled: int
    waiting: int
    seconds: float  # running time of the job, without pauses

    @property
    def settled(self) -> int:
        return self.total - self.waiting

    @property
    def rate(self) -> float | None:
        """Files per second so far; None while it is unknown."""
        done = self.settled - self.cancelled
        return done / self.seconds if done and self.seconds > 0.5 else None

    @property
    def seconds_left(self) -> float | None:
        """The time left for the files listed so far, at the rate so far."""
        return self.waiting / self.rate if self.waiting and self.rate else None


def progress(job: ImportJob) -> JobProgress:
    """Return the progress of `job`, in one statement; that of an ended job is stored."""
    return progress_of([job])[job.pk]


def progress_of(jobs: Iterable[ImportJob]) -> dict[UUID, JobProgress]:
    """Return `progress` for several jobs, by key, in one statement."""
    by_key = {job.pk: job for job in jobs}
    numbers: dict[UUID, dict[str, int]] = {
        key: dict(job.counts) if job.counts is not None else {} for key, job in by_key.items()
    }
    living = [key for key, job in by_key.items() if job.counts is None]
    if living:
        for key, state, number in _counted(living):
            numbers[key][state] = number
    return {key: _progress(job, numbers[key]) for key, job in by_key.items()}


def _counted(keys: Iterable[UUID]) -> Iterable[tuple[UUID, str, int]]:
    rows = ImportItem.objects.filter(job__in=keys).order_by()
    return rows.values_list("job_id", "state").annotate(number=Count("pk"))


def _progress(job: ImportJob, by_state: dict[str, int]) -> JobProgress:
    total = max(job.total, sum(by_state.values()))
    ended = {
        name: by_state.get(name, 0)
        for name in ("ready", "rejected", "failed", "checked", "cancelled")
    }
    return JobProgress(
        state=job.state,
        total=total,
        **ended,
        waiting=0 if job.state in ENDED_JOBS else total - sum(ended.values()),
        seconds=running_seconds(job),
    )


def running_seconds(job: ImportJob) -> float:
    """Return the running time of `job`, without pauses."""
    since = 0.0
    if job.resumed is not None and job.state in ACTIVE_JOBS:
        since = (timezone.now() - job.resumed).total_seconds()
    return job.seconds + max(0.0, since)


def begin(image_keys: Iterable[int]) -> None:
    """Mark the jobs that these images belong to as running."""
    keys = list(image_keys)
    if not keys:
        return
    waiting = ImportItem.objects.filter(image__in=keys, job__state=JobState.QUEUED)
    ImportJob.objects.filter(pk__in=waiting.values("job"), state=JobState.QUEUED).update(
        state=JobState.RUNNING, resumed=timezone.now()
    )


# Jobs that can end: of a cancelled one, the last batch may still be in progress.
_UNSETTLED = Q(state__in=ACTIVE_JOBS, is_open=False) | Q(
    state=JobState.CANCELLED, counts__isnull=True
)


def settle(keys: Iterable[UUID]) -> int:
    """End those of these jobs whose files all have an outcome; returns how many.

    A move also waits until the images whose copies are ready have left: see
    `searchapp.services.images.moves`.
    """
    number = 0
    pending = ImportItem.objects.filter(job=OuterRef("pk"), state__in=PENDING_ITEMS)
    unlisted = ImportSource.objects.filter(job=OuterRef("pk"), is_listed=False)
    over = ImportJob.objects.filter(_UNSETTLED, ~Exists(pending), pk__in=list(keys))
    staying = ImportItem.objects.filter(
        job=OuterRef("pk"), state=ItemState.READY, locator__isnull=False
    )
    over = over.exclude(Q(options__move=True, state__in=ACTIVE_JOBS) & Exists(staying))
    for job in over.filter(Q(state=JobState.CANCELLED) | ~Exists(unlisted)):
        cancelled = job.state == JobState.CANCELLED
        by_state = {state: count for _, state, count in _counted([job.pk])}
        bad = by_state.get(ItemState.REJECTED, 0) + by_state.get(ItemState.FAILED, 0)
        ended: dict[str, Any] = {"counts": by_state}
        if not cancelled:
            ended |= {
                "state": JobState.FINISHED_WITH_ERRORS
                if bad or job.error_code
                else JobState.FINISHED,
                "seconds": running_seconds(job),
                "ended": timezone.now(),
                "claim": "",
                "lease_until": None,
            }
        number += ImportJob.objects.filter(pk=job.pk, state=job.state).update(**ended)
    return number


def settle_all() -> int:
    """`settle` what a killed process left behind."""
    return settle(ImportJob.objects.filter(_UNSETTLED).values_list("pk", flat=True))


def reopen(keys: Iterable[UUID]) -> None:
    """Set ended jobs to running again when some of their files wait again."""
    keys = list(keys)
    ImportJob.objects.filter(pk__in=keys, state__in=ENDED_JOBS).update(
        state=JobState.RUNNING, counts=None, ended=None, resumed=timezone.now()
    )
