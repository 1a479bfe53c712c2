"""What Celery tells of tasks that failed is written down, for people to look at."""

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
    """Also of tasks whose process died or ran out of time: for those it is called in the pool's
    parent, whose connection children must not inherit, so it is closed."""
    if getattr(exception, "code", None) is not None and hasattr(exception, "detail"):
        return  # a refusal on purpose, which was told to whoever asked
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
