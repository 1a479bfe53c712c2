"""The audit: whether database, files and vectors agree. One file a family of checks."""

from searchapp.services.audit.base import Check, Finding, Scope, Step
from searchapp.services.audit.runner import (
    BY_KIND,
    CHECKS,
    TASK,
    advance,
    call_worker,
    run,
    start,
    waits,
)

__all__ = [
    "BY_KIND",
    "CHECKS",
    "TASK",
    "Check",
    "Finding",
    "Scope",
    "Step",
    "advance",
    "call_worker",
    "run",
    "start",
    "waits",
]
