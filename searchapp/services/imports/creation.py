"""Create imports, add uploaded files to them, and close them."""

from __future__ import annotations

import errno
import hashlib
import secrets
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from searchapp.infra import storage
from searchapp.infra.content_locks import lock_contents
from searchapp.infra.upload_handler import HashedUpload
from searchapp.models import (
    ACTIVE_JOBS,
    Dataset,
    ImageState,
    ImportItem,
    ImportJob,
    ImportSource,
    ItemState,
    JobState,
    Source,
    SourceKind,
)
from searchapp.services.errors import Conflict, Invalid, ServiceError
from searchapp.services.imports import image_fields, job_claim, job_progress, validation
from searchapp.services.imports.detection import kind_of
from searchapp.services.imports.options import REFERENCE, ImportOptions
from searchapp.services.imports.sources import source_class
from searchapp.services.imports.sources.files import KEPT
from searchapp.services.ingest import acceptance, claims

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.contrib.auth.models import User

# An open job that receives nothing for this long is closed.
_OPEN_LIFE = timedelta(days=1)
# Received images of a paused job have their lease set this far ahead, so that no worker claims
# them.
FAR = timedelta(days=36_500)
STORAGE_FULL = "storage_full"


def create(
    dataset: Dataset,
    *,
    user: User | AnonymousUser | None,
    kind: SourceKind,
    name: str = "",
    location: str = "",
    options: ImportOptions | None = None,
    is_open: bool = False,
) -> ImportJob:
    """Create an import into `dataset`. The caller has checked that `user` may do so.

    A job of kind `UPLOAD` has no source yet: see `add_upload`. Any other gets one, at `location`,
    and workers begin at once. With `is_open`, more files may be added until `close`.

    Raises `Invalid` with code `invalid_location`, or another of the source's, when nothing can be
    imported from `location`, and with code `invalid_options` when the options do not fit the
    source.
    """
    options = options or ImportOptions()
    account = user if user is not None and user.is_authenticated else None
    kind = SourceKind(kind)
    _check_options(kind, options)
    if kind != SourceKind.UPLOAD:
        location = source_class(kind).check(location, account)
    name = (name or location.rstrip("/").rpartition("/")[2] or location)[:255]
    with transaction.atomic():
        job = ImportJob.objects.create(
            dataset=dataset,
            user=account,
            kind=kind,
            name=name,
            options=options.to_dict(),
            is_open=is_open,
            turn=claims.turn_now(),
        )
        if kind != SourceKind.UPLOAD:
            ImportSource.objects.create(job=job, kind=kind, name=name, location=location)
        transaction.on_commit(lambda: _after(job))
    return job


def _check_options(kind: SourceKind, options: ImportOptions) -> None:
    if kind == SourceKind.COCO and options.max_side is not None:
        raise Invalid(
            "invalid_options",
            "'max_side' does not go with boxes: they count the pixels of the whole picture.",
        )
    if kind == SourceKind.ARCHIVE and options.keep == REFERENCE:
        raise Invalid(
            "invalid_options",
            "'keep: reference' does not go with an archive: its files have no place of their own.",
        )
    if options.move and kind != SourceKind.DATASET:
        raise Invalid("invalid_options", "'move' is for pictures of another dataset.")


def _after(job: ImportJob) -> None:
    job_progress.settle([job.pk])
    job_claim.wake_worker()


def add_upload(
    job: ImportJob, upload: HashedUpload, *, name: str, given: Mapping[str, Any] | None = None
) -> ImportItem | ImportSource:
    """Add one uploaded file to an open job. The caller has checked that this is allowed.

    An archive or a manifest, detected by content, becomes a source of the job; its bytes are kept
    until the job has ended. Any other file becomes a row of the ledger with its image, or with the
    reason why there is none. Call it in the transaction that records that the file is complete, so
    that both happen exactly once.

    Raises `Conflict` with code `wrong_job_state` when the job takes no more files, `Invalid` with
    code `invalid_given` when `given` (title, label, tags, metadata) cannot be stored, and
    `ServiceError` with code `storage_full` when nothing could be stored.
    """
    try:
        checked = image_fields.checked({**(given or {}), "box": None})
    except ValueError as error:
        raise Invalid("invalid_given", str(error)) from None
    options = ImportOptions.from_dict(job.options)
    kind = kind_of(upload.path) if _is_whole(upload) else None
    with full_disks():
        if kind is not None:
            return _add_source(job, kind, upload, name, options)
        return _add_picture(job, upload, name, checked, options)


@contextmanager
def full_disks() -> Iterator[None]:
    """Turn a full disk into a `ServiceError` with a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ServiceError(
                STORAGE_FULL, "The disk of the server is full; nothing was kept.", status=507
            ) from error
        raise


def _is_whole(upload: HashedUpload) -> bool:
    """Whether the file holds all that was sent: a form upload over the limit for pictures is
    truncated, a resumable upload is not."""
    size = upload.size or 0
    return 0 < size <= settings.MAX_ARCHIVE_BYTES and upload.path.stat().st_size == size


def import_key(job: ImportJob, sha256: str) -> str:
    """Return the storage key of a file that only this job reads, so that it is deleted with the
    job."""
    return hashlib.sha256(f"{job.pk.hex}:{sha256}".encode()).hexdigest()


def _add_source(
    job: ImportJob, kind: SourceKind, upload: HashedUpload, name: str, options: ImportOptions
) -> ImportSource:
    _check_options(kind, options)
    key = import_key(job, upload.sha256)
    storage.put_import(key, upload)
    with transaction.atomic():
        _make_room(job, 0)
        source, _ = ImportSource.objects.get_or_create(
            job=job, location=KEPT + key, defaults={"kind": kind, "name": name[:255]}
        )
        transaction.on_commit(job_claim.wake_worker)
    return source


def _make_room(job: ImportJob, rows: int) -> tuple[int, str]:
    """Reserve ledger rows: return the position of the first, and the job's state."""
    mine = ImportJob.objects.filter(pk=job.pk)
    open_ = mine.filter(is_open=True, state__in=(*ACTIVE_JOBS, JobState.PAUSED))
    if not open_.update(total=F("total") + rows, turn=F("turn") + rows):
        raise Conflict("wrong_job_state", "This import takes no more files: it is closed or over.")
    total, state = mine.values_list("total", "state").get()
    return total - rows, state


def _add_picture(
    job: ImportJob,
    upload: HashedUpload,
    name: str,
    fields: dict[str, Any],
    options: ImportOptions,
) -> ImportItem:
    item = ImportItem(job=job, name=name[:1000], given=fields, state=ItemState.WAITING)
    refusal = validation.refusal_of_upload(upload)
    if refusal is None and options.max_side is not None and not options.dry_run:
        # A worker scales it down; until then its bytes are kept unchanged. The key is unique
        # because the file is deleted as soon as it has been read.
        key = import_key(job, upload.sha256 + secrets.token_hex(8))
        storage.put_import(key, upload)
        item.locator = {"kept": key}
        with transaction.atomic():
            item.position, _ = _make_room(job, 1)
            item.save()
            transaction.on_commit(job_claim.wake_worker)
        return item
    with transaction.atomic():
        lock_contents([upload.sha256])
        item.position, state = _make_room(job, 1)
        turn = ImportJob.objects.values_list("turn", flat=True).get(pk=job.pk) - 1
        if refusal is not None:
            item.state = ItemState.REJECTED
            item.error_code, item.error_detail = refusal
        elif options.dry_run:
            item.state = ItemState.CHECKED
            item.duplicate = validation.is_there(job.dataset_id, upload.sha256)
        else:
            arrival = validation.arrival(upload, fields, options, name=name)
            [(image, item.duplicate)] = acceptance.take(
                job.dataset, [arrival], job.user, Source.UPLOAD, turn
            )
            item.image, item.state = image, ItemState(image.state)
            if state == JobState.PAUSED and not item.duplicate:
                type(image).objects.filter(pk=image.pk, state=ImageState.RECEIVED).update(
                    lease_until=timezone.now() + FAR
                )
        item.save()
        transaction.on_commit(lambda: job_progress.settle([job.pk]))
        if item.state == ItemState.RECEIVED and state != JobState.PAUSED:
            transaction.on_commit(lambda: acceptance.wake(1))
    return item


def close(job: ImportJob) -> None:
    """Close `job` to further files; it ends when all its files have an outcome."""
    ImportJob.objects.filter(pk=job.pk, is_open=True).update(is_open=False)
    job_progress.settle([job.pk])


def close_abandoned() -> int:
    """Close open jobs that receive nothing any more; returns how many."""
    before = timezone.now() - _OPEN_LIFE
    old = ImportJob.objects.filter(
        is_open=True, created__lt=before, state__in=(*ACTIVE_JOBS, JobState.PAUSED)
    ).exclude(uploads__created__gte=before)
    number = 0
    for job in old[:500]:
        close(job)
        number += 1
    return number
