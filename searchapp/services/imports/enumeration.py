"""Enumerate the files of a source into ledger rows, a batch at a time."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Iterator
from itertools import islice

from django.db import transaction
from django.db.models import F

from searchapp.models import ImportItem, ImportJob, ImportSource, ItemState
from searchapp.services.imports.job_claim import ClaimLost, held, renew
from searchapp.services.imports.options import ImportOptions
from searchapp.services.imports.sources import Listed, SourceError, source_of

log = logging.getLogger(__name__)
_ROWS = 1000  # of one transaction
# Resuming a listing at its cursor may be costly, so one step lists several chunks.
_MAX_ROWS = 20_000
_SECONDS = 5.0
# A source whose listing has killed this many workers is given up.
_MAX_ATTEMPTS = 6


def step(job: ImportJob, options: ImportOptions) -> None:
    """List the next chunk of the job's first source that is not listed yet.

    Raises `ClaimLost` when the job is no longer claimed by the caller.
    """
    source = job.sources.filter(is_listed=False).first()
    if source is None:
        return
    if job.attempts > _MAX_ATTEMPTS:
        _give_up(job, source, "worker_died", "Workers died while they listed this source.")
        return
    until = time.monotonic() + _SECONDS
    lister = source_of(source, options)
    lister.alive = lambda: renew(job)
    rows = lister.list(source.cursor)
    for _ in range(_MAX_ROWS // _ROWS):
        chunk: list[Listed] = []
        problem = _collect(rows, chunk, source)
        # Files listed before an error are kept.
        _write(job, source, chunk, is_listed=problem is None and len(chunk) < _ROWS)
        if problem is not None:
            _give_up(job, source, *problem)
        if source.is_listed or time.monotonic() > until:
            break


def _collect(
    rows: Iterator[Listed], chunk: list[Listed], source: ImportSource
) -> tuple[str, str] | None:
    """Add the next rows to `chunk`; returns code and sentence where the source cannot be read."""
    try:
        chunk.extend(islice(rows, _ROWS))
    except SourceError as error:
        return error.code, error.detail
    except ClaimLost:
        raise
    except OSError as error:
        log.warning("listing source %d failed: %s", source.pk, error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return "storage_full", "The disk of the server is full; try again when it is not."
        return "unreadable", f"It cannot be read: {error.strerror or 'the connection broke off'}."
    except Exception:
        log.exception("listing source %d failed", source.pk)
        return "internal_error", "The worker failed; its log says why."
    return None


def _write(job: ImportJob, source: ImportSource, chunk: list[Listed], *, is_listed: bool) -> None:
    with transaction.atomic():
        if not held(job).update(total=F("total") + len(chunk)):
            raise ClaimLost
        total = ImportJob.objects.values_list("total", flat=True).get(pk=job.pk)
        ImportItem.objects.bulk_create(
            _row(job, source, position, one)
            for position, one in enumerate(chunk, total - len(chunk))
        )
        if chunk:
            source.cursor = chunk[-1].cursor
        source.is_listed = is_listed
        source.save(update_fields=["cursor", "is_listed"])
    renew(job)


def _row(job: ImportJob, source: ImportSource, position: int, one: Listed) -> ImportItem:
    code, sentence = one.refusal or ("", "")
    return ImportItem(
        job=job,
        source=source,
        position=position,
        name=one.name,
        locator=one.locator or None,
        given=one.given,
        state=ItemState.REJECTED if one.refusal else ItemState.WAITING,
        error_code=code,
        error_detail=sentence[:500],
    )


def _give_up(job: ImportJob, source: ImportSource, code: str, sentence: str) -> None:
    with transaction.atomic():
        detail = f"{source.name}: {sentence}"[:500]
        if not held(job).update(error_code=code, error_detail=detail, attempts=0):
            raise ClaimLost
        source.is_listed, source.error_code, source.error_detail = True, code, sentence[:500]
        source.save(update_fields=["is_listed", "error_code", "error_detail"])
