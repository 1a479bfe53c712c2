"""Resumable uploads: files that arrive in pieces and are handed to an import when complete.

After a dropped connection, a closed browser or a killed server, the client asks how much has
arrived and continues there. A file is handed over to its import exactly once: its row and those of
the import are written in one transaction.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4, uuid5

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from searchapp.infra import partial_files
from searchapp.infra.upload_handler import HashedUpload
from searchapp.models import ENDED_JOBS, ImportJob, PartialUpload
from searchapp.services.errors import Conflict, ServiceError
from searchapp.services.imports import creation
from searchapp.services.imports.image_fields import LABEL_LENGTH

if TYPE_CHECKING:
    from django.contrib.auth.models import User

log = logging.getLogger(__name__)
MAX_AT_ONCE = 1000
LIFE = timedelta(hours=24)  # without a byte
MAX_UNFINISHED = 1000  # of one person
# Disk space kept free for everything else.
_SPARE_BYTES = 200_000_000
# Handing over reads the whole file once: a second caller waits up to this many seconds.
_PATIENCE = 120.0
# The periodic sweep skips uploads that their own request is probably still processing.
_QUIET_SECONDS = 60


@dataclass(frozen=True)
class Announced:
    """What a client announces before the first byte."""

    size: int
    name: str
    # The client's own name of the file, unique in its import: announcing it again returns the
    # existing upload instead of a second one.
    key: str = ""
    # Title, label, tags and metadata of the image.
    given: dict[str, Any] = field(default_factory=dict)
    # As it was sent, to be returned to the client.
    sent: dict[str, str] = field(default_factory=dict)


def largest() -> int:
    """Return the size limit in bytes. A file that is not an archive is checked against the limit
    for pictures when it is complete, since only its content tells what it is."""
    return max(settings.MAX_ARCHIVE_BYTES, settings.MAX_UPLOAD_BYTES)


def announce(job: ImportJob, user: User, announced: Announced) -> PartialUpload:
    """Return the existing upload, or a new one that has not been saved: `receive` does that.

    Raises `Conflict` with code `wrong_job_state`, and `ServiceError` with code `upload_too_large`
    or `storage_full`.
    """
    pk = uuid5(job.pk, f"{user.pk} {announced.size} {announced.key}") if announced.key else uuid4()
    known = PartialUpload.objects.filter(pk=pk).first()
    if known is not None:
        return known
    _check_open(job)
    limit = largest()
    if announced.size > limit:
        raise ServiceError(
            "upload_too_large",
            f"This file has {announced.size / 1e6:.1f} MB; {limit / 1e6:g} MB are accepted.",
            status=413,
        )
    _check_room(announced.size)
    return PartialUpload(
        pk=pk,
        job=job,
        user=user,
        name=announced.name,
        size=announced.size,
        given={"given": announced.given, "sent": announced.sent},
    )


def _check_open(job: ImportJob) -> None:
    if not job.is_open or job.state in ENDED_JOBS:
        raise Conflict(
            "wrong_job_state",
            "This import takes no more files: it is closed or over.",
        )


def _check_room(size: int) -> None:
    folder = Path(settings.UPLOAD_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < size + _SPARE_BYTES:
        raise _disk_full()


def _disk_full() -> ServiceError:
    return ServiceError(
        "storage_full", "The disk of the server is full; nothing was kept.", status=507
    )


def receive(
    upload: PartialUpload, offset: int, read: Callable[[int], bytes], length: int
) -> PartialUpload:
    """Append `length` bytes, and hand the file over when it is complete.

    Raises `Conflict` with code `offset_conflict` when `offset` is not the upload's, or with code
    `job_closed`, and `ServiceError` with code `not_found`, `upload_too_large`, `storage_full` or
    `too_many_uploads`.
    """
    if offset + length > upload.size:
        raise ServiceError(
            "upload_too_large",
            f"{upload.size} bytes were announced; these would make it {offset + length}.",
            status=413,
        )
    if upload.done is not None:
        _check_offset(offset, upload.size)
        return upload
    is_new = upload._state.adding
    try:
        sha256 = partial_files.append(upload.pk, offset, read, length)
    except partial_files.OffsetMoved:
        if is_new:
            save(upload)
        raise _moved(offset, partial_files.size_of(upload.pk)) from None
    except partial_files.Vanished:
        raise _gone() from None
    except OSError as error:
        # Bytes that arrived are kept: the client asks how many there are.
        if is_new and partial_files.size_of(upload.pk):
            save(upload)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full() from error
        raise
    if partial_files.size_of(upload.pk) == upload.size:
        return hand_over(upload, sha256)
    return save(upload) if is_new else upload


def _check_offset(offset: int, actual: int) -> None:
    if offset != actual:
        raise _moved(offset, actual)


def _moved(offset: int, actual: int) -> Conflict:
    return Conflict(
        "offset_conflict", f"This upload has {actual} bytes, not {offset}: go on from there."
    )


def _gone() -> ServiceError:
    return ServiceError("not_found", "This upload was ended or has expired.", status=404)


def save(upload: PartialUpload) -> PartialUpload:
    """Save a new upload, so that its client can ask for it; of two with one key, the first
    stays."""
    unfinished = PartialUpload.objects.filter(user=upload.user, done=None)
    if unfinished.count() >= MAX_UNFINISHED:
        partial_files.remove(upload.pk)
        raise ServiceError(
            "too_many_uploads",
            f"You have {MAX_UNFINISHED} unfinished uploads: end some of them first.",
            status=429,
        )
    try:
        with transaction.atomic():
            upload.save(force_insert=True)
    except IntegrityError:
        return PartialUpload.objects.get(pk=upload.pk)
    return upload


def offset_of(upload: PartialUpload) -> int:
    """Return how many bytes have arrived. A complete file is handed over first."""
    if upload.done is not None:
        return upload.size
    size = partial_files.size_of(upload.pk)
    if size == upload.size:
        hand_over(upload)
    return size


def expires(upload: PartialUpload) -> datetime | None:
    """Return when an unfinished upload expires."""
    if upload.done is not None:
        return None
    written = partial_files.last_written(upload.pk)
    since = upload.created if written is None else datetime.fromtimestamp(written, UTC)
    return since + LIFE


def hand_over(upload: PartialUpload, sha256: str | None = None) -> PartialUpload:
    """Add a complete file to its import, exactly once; `sha256` is its hash, if known.

    Raises `Conflict` with code `wrong_job_state`, and then the file is deleted, and `ServiceError`
    with code `upload_busy` or `storage_full`.
    """
    try:
        with partial_files.held(upload.pk, _PATIENCE) as path:
            if path.stat().st_size == upload.size:
                _hand_over(upload, path, sha256)
    except partial_files.Vanished:
        pass  # handed over or removed by another caller: see the row
    except partial_files.FileBusy:
        raise ServiceError(
            "upload_busy", "The last bytes of this file are being dealt with.", status=423
        ) from None
    row = PartialUpload.objects.filter(pk=upload.pk).first()
    if row is None:
        raise _gone()
    return row


def _hand_over(upload: PartialUpload, path: Path, sha256: str | None) -> None:
    if sha256 is None:
        sha256 = _hash(path)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        whole = HashedUpload(file, upload.name, upload.size, sha256)
        try:
            with transaction.atomic():
                if _mark_done(upload):
                    job = ImportJob.objects.select_related("dataset").get(pk=upload.job_id)
                    _check_open(job)
                    fields = dict(upload.given.get("given") or {})
                    _label_from_folder(job, upload.name, fields)
                    creation.add_upload(job, whole, name=upload.name, given=fields)
        except Conflict:
            remove(upload)
            raise
    partial_files.remove(upload.pk)


def _label_from_folder(job: ImportJob, name: str, fields: dict[str, Any]) -> None:
    """Use the name of an uploaded file's folder as its label."""
    folder = name.rpartition("/")[0].rpartition("/")[2]
    if folder and job.options.get("label_from_folder"):
        fields.setdefault("label", folder[:LABEL_LENGTH])


def _mark_done(upload: PartialUpload) -> bool:
    """Whether this caller is the one to hand it over."""
    now = timezone.now()
    if not upload._state.adding:
        return bool(PartialUpload.objects.filter(pk=upload.pk, done=None).update(done=now))
    try:
        with transaction.atomic():
            upload.done = now
            upload.save(force_insert=True)
    except IntegrityError:
        return bool(PartialUpload.objects.filter(pk=upload.pk, done=None).update(done=now))
    return True


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(upload: PartialUpload) -> None:
    """Remove an upload. What was imported from it stays."""
    PartialUpload.objects.filter(pk=upload.pk).delete()
    partial_files.remove(upload.pk)


def hand_over_forgotten() -> int:
    """Hand over complete files whose request died before it did; returns how many."""
    number = 0
    for upload in PartialUpload.objects.filter(done=None).order_by("created"):
        written = partial_files.last_written(upload.pk)
        if written is None or time.time() - written < _QUIET_SECONDS:
            continue
        if partial_files.size_of(upload.pk) != upload.size:
            continue
        try:
            hand_over(upload)
            number += 1
        except ServiceError as error:
            log.warning("the upload %s waits: %s", upload.pk, error)
            if error.code != "wrong_job_state":  # in that state the upload was removed
                os.utime(partial_files.path_of(upload.pk))  # do not try again for a while
    return number


def expire() -> int:
    """Remove expired uploads. Returns how many rows were deleted; at `MAX_AT_ONCE`, there may be
    more."""
    before = timezone.now() - LIFE
    over = PartialUpload.objects.filter(done__lt=before).order_by()
    first = list(over.values_list("pk", flat=True)[:MAX_AT_ONCE])
    number = PartialUpload.objects.filter(pk__in=first).delete()[0]
    for upload in PartialUpload.objects.filter(done=None, created__lt=before).iterator():
        ends = expires(upload)
        if ends is not None and ends < timezone.now():
            remove(upload)
    _remove_orphans()
    return number


def _remove_orphans() -> None:
    """Remove files whose row was never written: their clients do not know of them."""
    old = [
        key
        for key in partial_files.all_keys()
        if (written := partial_files.last_written(key)) is not None
        and time.time() - written > LIFE.total_seconds()
    ]
    for start in range(0, len(old), 500):
        some = old[start : start + 500]
        known: set[UUID] = set(
            PartialUpload.objects.filter(pk__in=some).values_list("pk", flat=True)
        )
        for key in some:
            if key not in known:
                partial_files.remove(key)
