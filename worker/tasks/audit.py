"""Tasks that run the audit of database, files and vectors."""

from __future__ import annotations

import contextlib

from searchapp.infra.queue import celery_app
from searchapp.services import audit
from searchapp.services.errors import Conflict


@celery_app.task(name=audit.TASK)
def advance() -> None:
    """Continue the pending audit for a few seconds, then queue the next call."""
    if audit.advance():
        audit.call_worker()


@celery_app.task(name="audit.nightly")
def nightly() -> None:
    """Start an audit that repairs nothing: staff should look at its findings first."""
    with contextlib.suppress(Conflict):
        audit.start()
