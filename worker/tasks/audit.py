"""Tasks of the audit of database, files and vectors."""

from __future__ import annotations

import contextlib

from searchapp.infra.queue import celery_app
from searchapp.services import audit
from searchapp.services.errors import Conflict


@celery_app.task(name=audit.TASK)
def advance() -> None:
    """Carry on the audit that waits, for a few seconds, and call for the next slice."""
    if audit.advance():
        audit.call_worker()


@celery_app.task(name="audit.nightly")
def nightly() -> None:
    """Begin an audit that repairs nothing: what it finds, somebody should look at."""
    with contextlib.suppress(Conflict):
        audit.start()
