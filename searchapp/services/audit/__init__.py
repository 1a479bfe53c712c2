"""Audits compare database, files and vectors. Each family of checks has its own module."""

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
