"""Pause, resume and cancel imports, and retry what failed."""

from __future__ import annotations

import contextlib

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from searchapp.infra import storage
from searchapp.models import (
    ACTIVE_JOBS,
    PENDING_ITEMS,
    Image,
    ImageState,
    ImportItem,
    ImportJob,
    ItemState,
    JobState,
)
from searchapp.services.errors import Conflict
from searchapp.services.imports import job_claim, job_progress
from searchapp.services.imports.creation import FAR, STORAGE_FULL
from searchapp.services.ingest import acceptance, claims
from searchapp.services.operations import cleanup

_CHUNK = 500  # rows of one transaction
_MAX_AT_ONCE = 20_000  # rows of one call; the periodic sweep does the rest
_NO_CLAIM = {"claim": "", "lease_until": None}


def pause(job: ImportJob) -> None:
    """Pause a job. Waiting files stay where they are; a batch that a worker has begun is finished.

    Raises `Conflict` with code `wrong_job_state`, like all functions here.
    """
    now = timezone.now()
    with transaction.atomic():
        row = _in_state(job, ACTIVE_JOBS, "paused")
        ImportJob.objects.filter(pk=row.pk).update(
            state=JobState.PAUSED,
            seconds=job_progress.running_seconds(row),
            resumed=None,
            **_NO_CLAIM,
        )
        _own_images(row).exclude(_wanted_by_another(row)).update(lease_until=now + FAR)


def pause_for_room(job: ImportJob) -> None:
    """Pause an import because the disk is full, and record the reason; nothing is lost."""
    with contextlib.suppress(Conflict):  # it was paused or cancelled meanwhile
        pause(job)
        ImportJob.objects.filter(pk=job.pk, state=JobState.PAUSED).update(
            error_code=STORAGE_FULL,
            error_detail="The disk of the server is full, so this import was paused. Make room, "
            "then let it go on.",
        )


def resume(job: ImportJob) -> None:
    with transaction.atomic():
        row = _in_state(job, (JobState.PAUSED,), "resumed")
        ImportJob.objects.filter(pk=row.pk).update(
            state=JobState.RUNNING, resumed=timezone.now(), attempts=0
        )
        ImportJob.objects.filter(pk=row.pk, error_code=STORAGE_FULL).update(
            error_code="", error_detail=""
        )
        number = _own_images(row).update(lease_until=None)
    acceptance.wake(number)
    job_claim.wake_worker()
    job_progress.settle([job.pk])


def cancel(job: ImportJob) -> None:
    """Cancel a job: files without an outcome are given up; ready images stay."""
    with transaction.atomic():
        row = _in_state(job, (*ACTIVE_JOBS, JobState.PAUSED), "cancelled")
        ImportJob.objects.filter(pk=row.pk).update(
            state=JobState.CANCELLED,
            seconds=job_progress.running_seconds(row),
            ended=timezone.now(),
            is_open=False,
            **_NO_CLAIM,
        )
    give_up(row, _MAX_AT_ONCE)
    job_progress.settle([job.pk])


def give_up(job: ImportJob, limit: int) -> None:
    """Give up a cancelled job's rows, `limit` at most, in short transactions."""
    for _ in range(0, limit, _CHUNK):
        waiting = job.items.filter(state=ItemState.WAITING).order_by("position")
        chunk = list(waiting.only("pk", "source", "locator")[:_CHUNK])
        if not chunk:
            break
        ImportItem.objects.filter(
            pk__in=[item.pk for item in chunk], state=ItemState.WAITING
        ).update(state=ItemState.CANCELLED)
        for item in chunk:
            if item.source_id is None and item.locator:
                storage.delete_import(item.locator["kept"])
    for _ in range(0, limit, _CHUNK):
        if not _give_up_images(job):
            break


def _give_up_images(job: ImportJob) -> int:
    with transaction.atomic():
        received = job.items.filter(state=ItemState.RECEIVED, image__state=ImageState.RECEIVED)
        items = list(received.select_related("image").order_by("position")[:_CHUNK])
        # Not the images that existed before, nor those that another import waits for.
        own = {item.image_id for item in items if not item.duplicate}
        shared = set(
            ImportItem.objects.filter(image__in=own, state__in=PENDING_ITEMS)
            .exclude(job=job)
            .values_list("image_id", flat=True)
        )
        Image.objects.filter(pk__in=shared).update(lease_until=None)
        gone = [
            item.image
            for item in items
            if item.image is not None and item.image_id in own and item.image_id not in shared
        ]
        ImportItem.objects.filter(pk__in=[item.pk for item in items]).update(
            state=ItemState.CANCELLED
        )
        Image.objects.filter(pk__in=[image.pk for image in gone]).delete()
        files = {cleanup.Files.of(image) for image in gone}
        transaction.on_commit(lambda: cleanup.after_deletion(files))
    return len(items)


def retry_failed(job: ImportJob) -> int:
    """Retry failed files; returns how many wait again. Rejected files stay rejected: they are bad.
    Listing of a source that could not be read continues where it stopped."""
    allowed = (*ACTIVE_JOBS, JobState.FINISHED, JobState.FINISHED_WITH_ERRORS)
    with transaction.atomic():
        row = _in_state(job, allowed, "tried again")
        number = row.items.filter(state=ItemState.FAILED, image=None).update(
            state=ItemState.WAITING, error_code="", error_detail="", duration=None
        )
        again = row.sources.exclude(error_code="").update(
            is_listed=False, error_code="", error_detail=""
        )
        if number or again:
            job_progress.reopen([row.pk])
            ImportJob.objects.filter(pk=row.pk).update(error_code="", error_detail="", attempts=0)
    while True:
        failed = Image.objects.filter(
            state=ImageState.FAILED, items__job=job, items__state=ItemState.FAILED
        )
        images = list(failed.only("pk").distinct()[:_CHUNK])
        tried = claims.retry(images) if images else 0
        number += tried
        if not tried:
            break
    acceptance.wake(number)
    job_claim.wake_worker()
    return number


def _in_state(job: ImportJob, allowed: tuple[JobState, ...], what: str) -> ImportJob:
    """Return the job's current row, locked until the transaction ends."""
    row = ImportJob.objects.select_for_update().filter(pk=job.pk).first()
    if row is None or row.state not in allowed:
        now = "is gone" if row is None else f"is {row.get_state_display()}"
        raise Conflict("wrong_job_state", f"This import {now}; it cannot be {what}.")
    return row


def _own_images(job: ImportJob) -> QuerySet[Image]:
    """Return the images that were received for this job and that no worker has claimed."""
    mine = job.items.filter(state=ItemState.RECEIVED).values("image")
    return Image.objects.filter(state=ImageState.RECEIVED, pk__in=mine)


def _wanted_by_another(job: ImportJob) -> Exists:
    others = ImportItem.objects.filter(
        image=OuterRef("pk"), state=ItemState.RECEIVED, job__state__in=ACTIVE_JOBS
    )
    return Exists(others.exclude(job=job))
