"""One step of an import in a worker: claim a job, read files, store images.

A step claims a job by compare-and-swap with a lease, lists a chunk of its source, and processes
some of the waiting files: it reads and hashes them, stores them, and writes their rows in one short
transaction. Files that a killed worker was processing wait again when its lease expires.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from searchapp.infra import storage
from searchapp.infra.bulk_update import update_rows
from searchapp.infra.content_keys import content_key
from searchapp.infra.content_locks import lock_contents
from searchapp.models import (
    Image,
    ImportItem,
    ImportJob,
    ImportSource,
    ItemState,
    JobState,
    SourceKind,
)
from searchapp.models import Source as Origin
from searchapp.models.partial_indexes import JOB_ACTIVE
from searchapp.services.errors import ServiceError
from searchapp.services.imports import enumeration, job_progress, validation
from searchapp.services.imports.control import pause_for_room
from searchapp.services.imports.creation import STORAGE_FULL, full_disks
from searchapp.services.imports.file_reader import Read, Refusal, read
from searchapp.services.imports.job_claim import ClaimLost, held, lease_end, renew
from searchapp.services.imports.options import ImportOptions
from searchapp.services.imports.sources import InPlaceSource, source_of
from searchapp.services.ingest import acceptance

# Images of one job that may wait for a worker or be claimed by one.
IN_FLIGHT = 256
CHUNK = 128  # files of one step
_STORING = 4  # originals written at the same time
_RENEW_SECONDS = 15.0
_READ_SECONDS = 30.0  # files not begun by then wait for the next step
# After this many unfinished steps, files are processed one by one; a file that has killed a worker
# this often is given up.
_CAREFUL, _MAX_ATTEMPTS = 3, 3
_WRITTEN = ["image", "duplicate", "state", "error_code", "error_detail", "attempts", "duration"]


def wanting() -> QuerySet[ImportJob]:
    """Return active jobs that no worker has claimed, with files to list or to process, by their
    turn."""
    unlisted = ImportSource.objects.filter(job=OuterRef("pk"), is_listed=False)
    waiting = ImportItem.objects.filter(job=OuterRef("pk"), state=ItemState.WAITING)
    free = ImportJob.objects.filter(JOB_ACTIVE).exclude(lease_until__gt=timezone.now())
    return free.filter(Exists(unlisted) | Exists(waiting)).order_by("turn", "created")


def _candidates() -> list[tuple[ImportJob, int]]:
    """Return the `wanting` jobs, with how many of their images are in flight."""
    flying = (
        ImportItem.objects.filter(
            job=OuterRef("pk"), state__in=(ItemState.RECEIVED, ItemState.PROCESSING)
        )
        .order_by()
        .values("job")
        .annotate(number=Count("pk"))
        .values("number")
    )
    jobs = wanting().select_related("dataset", "user").annotate(flying=Subquery(flying))[:50]
    return [(job, job.flying or 0) for job in jobs]


def advance() -> bool:
    """Do one step of the next job; returns whether another step can be done now."""
    claimed = _claim()
    if claimed is None:
        return False
    job, room = claimed
    options = ImportOptions.from_dict(job.options)
    careful = job.attempts > _CAREFUL
    try:
        # Waiting files come first, in case it was the listing that killed the workers.
        if not careful or not job.items.filter(state=ItemState.WAITING).exists():
            enumeration.step(job, options)
        left = _take(job, options, 1 if careful else room)
    except ClaimLost:
        return True
    except ServiceError as error:
        if error.code != STORAGE_FULL:
            raise
        pause_for_room(job)
        return True
    held(job).update(claim="", lease_until=None, attempts=_attempts_after(job))
    if not left:
        job_progress.settle([job.pk])
    return True


def _attempts_after(job: ImportJob) -> int:
    """A job that has killed workers continues file by file until the cause is found, or passed."""
    return job.attempts if _CAREFUL < job.attempts < _CAREFUL + CHUNK else 0


def _claim() -> tuple[ImportJob, int] | None:
    """Claim a job, preferably one with room for more files; returns it with its room.

    There is none until a good number of files can be processed together.
    """
    full: list[ImportJob] = []
    for job, flying in _candidates():
        if IN_FLIGHT - flying < CHUNK:
            full.append(job)
        elif _claimed(job):
            return job, CHUNK
    unlisted = ImportSource.objects.filter(job__in=full, is_listed=False)
    to_list = set(unlisted.values_list("job_id", flat=True)) if full else set()
    for job in full:
        if job.pk in to_list and _claimed(job):
            return job, 0
    return None


def _claimed(job: ImportJob) -> bool:
    now, claim = timezone.now(), secrets.token_hex(16)
    free = ImportJob.objects.filter(
        Q(lease_until=None) | Q(lease_until__lte=now),
        pk=job.pk,
        state=job.state,
        attempts=job.attempts,
        turn=job.turn,
    )
    started = {"state": JobState.RUNNING, "resumed": now} if job.state == JobState.QUEUED else {}
    changed = {"claim": claim, "lease_until": lease_end(), "attempts": job.attempts + 1, **started}
    if not free.update(**changed):
        return False
    for name, value in changed.items():
        setattr(job, name, value)
    return True


def _take(job: ImportJob, options: ImportOptions, number: int) -> bool:
    """Process up to `number` waiting files; returns whether more steps like this are needed."""
    waiting = job.items.filter(state=ItemState.WAITING).order_by("position")
    items = list(waiting.select_related("source")[:number])
    if not items:
        return bool(number == 0 or job.sources.filter(is_listed=False).exists())
    if job.attempts > _CAREFUL and _is_deadly(items[0]):
        refusal = Refusal(
            ItemState.FAILED, "worker_died", "Workers died while they read this file."
        )
        _store(job, options, [(items[0], Read(refusal=refusal))])
        job.attempts = 0  # the cause was found
        return True
    if (place := _in_place(items[0], options)) is not None:
        _perform(job, place, [item for item in items if item.source_id == items[0].source_id])
        left = job.items.filter(state=ItemState.WAITING).exists()
        return left or job.sources.filter(is_listed=False).exists()
    reads = _read_all(job, items, options)
    try:
        with full_disks():
            _store(job, options, reads)
    finally:
        for one in {id(one): one for _, one in reads}.values():
            one.close()
    return len(reads) == number or job.sources.filter(is_listed=False).exists()


def _in_place(item: ImportItem, options: ImportOptions) -> InPlaceSource | None:
    """Return the source when its images are changed in place and not read."""
    source = None if item.source is None else source_of(item.source, options)
    return source if isinstance(source, InPlaceSource) and source.in_place else None


def _perform(job: ImportJob, source: InPlaceSource, items: Sequence[ImportItem]) -> None:
    """Change the images that these rows name, then settle the rows. When killed in between it is
    repeated, which changes nothing more."""
    if not held(job).exists():
        raise ClaimLost
    started = time.perf_counter()
    images = source.perform(items)
    spent = round(1000 * (time.perf_counter() - started) / len(items))
    for item in items:
        item.image_id, item.state, item.duration = images.get(item.pk), ItemState.READY, spent
    with transaction.atomic():
        if not held(job).update(lease_until=lease_end()):
            raise ClaimLost
        if source.follows_images:
            # Locked, so that a worker that finishes one of them meanwhile sees its row.
            rows = Image.objects.filter(pk__in=images.values()).select_for_update().order_by("pk")
            states = dict(rows.values_list("pk", "state"))
            for item in items:
                item.state = ItemState(states.get(item.image_id or 0, ItemState.READY))
        update_rows(items, _WRITTEN)


def _is_deadly(item: ImportItem) -> bool:
    """Count a try at a file in advance; returns whether there were too many."""
    if item.attempts >= _MAX_ATTEMPTS:
        return True
    ImportItem.objects.filter(pk=item.pk).update(attempts=F("attempts") + 1)
    item.attempts += 1
    return False


def _read_all(
    job: ImportJob, items: Sequence[ImportItem], options: ImportOptions
) -> list[tuple[ImportItem, Read]]:
    """Read files in threads; files not begun within the time limit keep waiting.

    Rows of one file (boxes of a picture, say) share one read.
    """
    sources = {
        item.source_id: source_of(item.source, options) for item in items if item.source is not None
    }
    threads = max([source.threads for source in sources.values()], default=2)
    until = time.monotonic() + _READ_SECONDS
    futures: dict[str, Future[Read]] = {}
    with ThreadPoolExecutor(threads, thread_name_prefix="import") as pool:
        try:
            for item in items:
                place = _place(item)
                if place not in futures:
                    source = sources.get(item.source_id)
                    futures[place] = pool.submit(read, source, item, options)
            pending = set(futures.values())
            while pending:
                _, pending = wait(pending, _RENEW_SECONDS, return_when=FIRST_COMPLETED)
                if time.monotonic() > until:
                    for future in pending:
                        future.cancel()
                    pending = {future for future in pending if not future.cancelled()}
                _renew_now_and_then(job)
        except BaseException:
            for future in futures.values():
                if not future.cancel():
                    future.result().close()
            raise
    done = [(item, futures[_place(item)]) for item in items]
    return [(item, future.result()) for item, future in done if not future.cancelled()]


def _place(item: ImportItem) -> str:
    if not item.locator:
        return f"item {item.pk}"
    return f"{item.source_id} {sorted(item.locator.items())}"


_renewed: dict[str, float] = {}


def _renew_now_and_then(job: ImportJob) -> None:
    now = time.monotonic()
    if now - _renewed.setdefault(job.claim, now) > _RENEW_SECONDS:
        _renewed.clear()
        _renewed[job.claim] = now
        renew(job)


def _store(
    job: ImportJob, options: ImportOptions, reads: Sequence[tuple[ImportItem, Read]]
) -> None:
    """Record the outcome of these files, with the images of the good ones."""
    good: list[tuple[ImportItem, Read]] = []
    for item, one in reads:
        item.duration = one.milliseconds
        if one.refusal is None and one.upload is not None:
            good.append((item, one))
        elif one.refusal is not None:
            item.state, item.error_code = one.refusal.state, one.refusal.code
            item.error_detail = one.refusal.sentence[:500]
    if not options.dry_run:
        # Before the transaction, so that nobody waits for the disk; several at once, because a disk
        # syncs them together.
        with ThreadPoolExecutor(_STORING, thread_name_prefix="store") as pool:
            uploads = [one.upload for _, one in good if one.upload and not one.reference]
            by_content = {upload.sha256: upload for upload in uploads}
            list(pool.map(storage.put_original, by_content.values()))
    import_keys = [
        item.locator["kept"]
        for item, _ in reads
        if item.source is None and item.locator and item.state != ItemState.FAILED
    ]
    with transaction.atomic():
        if good and not options.dry_run:
            lock_contents(one.upload.sha256 for _, one in good if one.upload is not None)
        if not held(job).update(turn=F("turn") + len(good), lease_until=lease_end()):
            raise ClaimLost
        if options.dry_run:
            _check(job, good)
        else:
            _make_images(job, options, good)
        update_rows([item for item, _ in reads], _WRITTEN)
        received = sum(item.state == ItemState.RECEIVED for item, _ in good)
        if received:
            transaction.on_commit(lambda: acceptance.wake(received))
    for key in import_keys:
        storage.delete_import(key)


def _make_images(
    job: ImportJob, options: ImportOptions, good: Sequence[tuple[ImportItem, Read]]
) -> None:
    arrivals = [
        validation.arrival(
            one.upload,
            item.given,
            options,
            name=item.name,
            sent=one.sent,
            reference=one.reference,
        )
        for item, one in good
        if one.upload is not None
    ]
    kind = Origin.COPY if job.kind == SourceKind.DATASET else Origin.IMPORT
    results = acceptance.take(job.dataset, arrivals, job.user, kind, job.turn)
    job.turn += len(good)
    for (item, _), (image, duplicate) in zip(good, results, strict=True):
        item.image, item.duplicate, item.state = image, duplicate, ItemState(image.state)
        item.error_code, item.error_detail = image.error_code, image.error_detail


def _check(job: ImportJob, good: Sequence[tuple[ImportItem, Read]]) -> None:
    """In a dry run: record what would be added, and what exists already."""
    keys = [content_key(one.sent, item.given.get("box")) for item, one in good]
    there = set(
        Image.objects.filter(dataset=job.dataset_id, content_key__in=keys)
        .exclude(state__in=validation.GONE)
        .values_list("content_key", flat=True)
    )
    for key, (item, _) in zip(keys, good, strict=True):
        item.state, item.duplicate = ItemState.CHECKED, key in there
        there.add(key)
