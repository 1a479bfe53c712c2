"""The audit: whether database, files and vectors agree. One file a family of checks."""

from searchapp.services.audit.base import AuditScope, AuditStep, Check, Finding
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
    "AuditScope",
    "AuditStep",
    "Check",
    "Finding",
    "advance",
    "call_worker",
    "run",
    "start",
    "waits",
]
