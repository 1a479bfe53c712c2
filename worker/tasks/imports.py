"""The task that runs import jobs: lists their sources and accepts their files."""

from __future__ import annotations

import contextlib

from searchapp.infra import queue
from searchapp.infra.queue import celery_app
from searchapp.services.images import moves
from searchapp.services.imports import job_claim, step


# Unpacking a large archive may take this long, before the first of its files can be read.
@celery_app.task(name=job_claim.TASK, soft_time_limit=3500, time_limit=3600)
def advance() -> None:
    """Do one step of one import, then queue the next call.

    The call names no import: it may be lost, duplicated or late without harm.
    """
    with contextlib.suppress(queue.QueueUnavailable):  # the marker expires anyway
        queue.called(job_claim.TASK)
    more = step.advance()
    moves.finish_moves()  # what was there already needs no worker
    if more:
        job_claim.wake_worker()
