"""The task that lists and takes the files of imports."""

from __future__ import annotations

import contextlib

from searchapp.infra import queue
from searchapp.infra.queue import celery_app
from searchapp.services.imports import job_claim, step


# An archive may have to be unpacked before anything of it can be read.
@celery_app.task(name=job_claim.TASK, soft_time_limit=3500, time_limit=3600)
def advance() -> None:
    """Do one step of one import, and call for the next.

    The call itself names no import: it may be lost, doubled or late without harm.
    """
    with contextlib.suppress(queue.QueueUnavailable):  # the note ends by itself
        queue.called(job_claim.TASK)
    if step.advance():
        job_claim.wake_worker()
