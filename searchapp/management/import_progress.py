"""Show the progress of an import on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable

from searchapp.infra import queue
from searchapp.models import ENDED_JOBS, ImportJob, JobState
from searchapp.services.imports import job_progress
from searchapp.services.imports.job_progress import JobProgress

_POLL_SECONDS = 1.0


def in_words(progress: JobProgress) -> str:
    """Return one line about the progress of a job."""
    parts = [f"{progress.settled:,} of {progress.total:,} files"]
    for name in ("ready", "checked", "rejected", "failed", "cancelled"):
        number = getattr(progress, name)
        if number:
            parts.append(f"{number:,} {'would be added' if name == 'checked' else name}")
    if progress.rate is not None:
        parts.append(f"{progress.rate:.1f} a second")
    if progress.seconds_left is not None:
        parts.append(f"{_duration(progress.seconds_left)} left")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def follow(job: ImportJob, say: Callable[[str], None]) -> ImportJob:
    """Report the progress of `job` with `say` when it changes, until the job ends or is paused."""
    last_line = ""
    if not _workers():
        say("No worker is running; the import begins when one does.")
    while True:
        job.refresh_from_db()
        line = in_words(job_progress.progress(job))
        if line != last_line:
            say(line)
            last_line = line
        if job.state in (*ENDED_JOBS, JobState.PAUSED):
            return job
        time.sleep(_POLL_SECONDS)


def _workers() -> bool:
    try:
        return queue.workers(queue.INGEST) > 0
    except queue.QueueUnavailable:
        return False
