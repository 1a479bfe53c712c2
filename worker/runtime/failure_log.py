"""Records failed Celery tasks in the database, for staff to read."""

from __future__ import annotations

import logging
from typing import Any

from celery import signals
from django.db import DatabaseError, connection

from searchapp.services.operations import failed_tasks

log = logging.getLogger(__name__)


@signals.task_failure.connect
def _write_down(
    sender: Any,
    exception: BaseException,
    args: Any = None,
    kwargs: Any = None,
    einfo: Any = None,
    **_: Any,
) -> None:
    """Record a failed task, also one whose process died or ran out of time.

    For those, Celery calls this in the pool's parent process. Its database connection is closed,
    because children must not inherit it.
    """
    if getattr(exception, "code", None) is not None and hasattr(exception, "detail"):
        return  # an expected error, which was returned to the caller
    try:
        failed_tasks.record(
            sender.name,
            keywords=kwargs or {},
            positional=args or (),
            error=exception,
            trace=str(getattr(einfo, "traceback", "") or ""),
            worker=str(getattr(sender.request, "hostname", "") or ""),
        )
    except DatabaseError:
        log.exception("a failed task could not be written down")
    finally:
        if not connection.in_atomic_block:
            connection.close()
