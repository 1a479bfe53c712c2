"""Clean up after imports: rows of cancelled jobs, and files kept for them."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from searchapp.infra import storage
from searchapp.models import ImportJob, ImportSource, JobState
from searchapp.services.imports import control, creation, job_claim, step
from searchapp.services.imports.sources.files import KEPT

# Failed files may be retried for this long; the archive stays until then.
_RETRY_LIFE = timedelta(days=7)
_COPY_LIFE = 86_400  # seconds without a read; a copy is made again when it is needed


def sweep() -> None:
    """Wake workers for waiting imports, and continue cancelling large ones."""
    for job in ImportJob.objects.filter(state=JobState.CANCELLED, counts__isnull=True)[:10]:
        control.give_up(job, 5000)
    if step.wanting().exists():
        job_claim.wake_worker()


def tidy() -> None:
    """Close abandoned jobs, and delete files that no import will read any more."""
    creation.close_abandoned()
    sources = ImportSource.objects.filter(location__startswith=KEPT)
    over = sources.filter(job__state__in=(JobState.FINISHED, JobState.CANCELLED))
    old = sources.filter(
        job__state=JobState.FINISHED_WITH_ERRORS, job__ended__lt=timezone.now() - _RETRY_LIFE
    )
    for source in (*over[:500], *old[:500]):
        storage.delete_import(source.location.removeprefix(KEPT))
        # An empty location keeps this row out of the next clean-up.
        ImportSource.objects.filter(pk=source.pk).update(location="")
    for copy in Path(settings.UPLOAD_DIR).glob("source-*"):
        if time.time() - copy.stat().st_mtime > _COPY_LIFE:
            copy.unlink(missing_ok=True)
