"""Calling workers to go on with imports."""

from __future__ import annotations

import logging

from searchapp.infra import queue

log = logging.getLogger(__name__)
TASK = "imports.advance"


def call() -> None:
    """Call a worker to go on with whatever import comes next. One call waits at any time; losing
    it loses nothing: the sweeper calls again."""
    try:
        queue.send_once(TASK)
    except queue.QueueUnavailable:
        log.warning("Redis is down: imports wait for the sweeper")
