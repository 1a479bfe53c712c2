"""Tasks that failed unexpectedly: recorded, and run again on request."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.utils import timezone

from searchapp.infra import queue
from searchapp.models import FailedTask
from searchapp.services.errors import Conflict

# The newest are kept: a task that fails every five seconds must not fill the disk.
MAX_KEPT = 1000
_MAX_TRACE_LENGTH = 20_000  # characters
_MAX_ARGUMENTS_LENGTH = 10_000  # characters, as JSON
_ROOT = str(Path(__file__).resolve().parents[3]) + "/"
_PACKAGES = re.compile(r'"[^"\n]*/site-packages/')


def record(
    name: str,
    *,
    keywords: Mapping[str, Any],
    positional: Sequence[Any] = (),
    error: BaseException,
    trace: str = "",
    worker: str = "",
) -> FailedTask:
    """Record a failed task; paths of this machine are left out of the trace."""
    arguments: dict[str, Any] = dict(keywords)
    if positional:
        arguments["(positional)"] = list(positional)
    try:
        if len(json.dumps(arguments)) > _MAX_ARGUMENTS_LENGTH:
            arguments = {"(too long to be kept)": sorted(map(str, arguments))[:50]}
    except (TypeError, ValueError):
        arguments = {"(not JSON)": sorted(map(str, arguments))[:50]}
    words = f"{type(error).__name__}: {error}".replace("\0", "")
    task = FailedTask.objects.create(
        name=name[:120],
        queue=queue.queue_of(name),
        arguments=arguments,
        error=words[:500],
        trace=_PACKAGES.sub('"', trace.replace(_ROOT, "")).replace("\0", "")[-_MAX_TRACE_LENGTH:],
        worker=worker[:120],
    )
    over = FailedTask.objects.filter(pk__lte=task.pk - MAX_KEPT)
    over.delete()
    return task


def can_run_again(failed: FailedTask) -> bool:
    """Whether sending it again makes sense: nobody waits for the reply to a query any more."""
    known = not any(name.startswith("(") for name in failed.arguments)
    return known and failed.queue != queue.QUERY


def run_again(failed: FailedTask) -> None:
    """Send the task again with its original arguments.

    Raises `Conflict` with code `not_repeatable`, and `QueueUnavailable` when nothing was sent.
    """
    if not can_run_again(failed):
        raise Conflict(
            "not_repeatable",
            "This task cannot be sent again: it answered somebody who waits no more, or its "
            "arguments were not kept.",
        )
    queue.send(failed.name, **failed.arguments)
    FailedTask.objects.filter(pk=failed.pk).update(again=timezone.now())
