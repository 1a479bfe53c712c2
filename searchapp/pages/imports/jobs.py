"""Pages of import jobs: list, progress, and actions such as pause, cancel and retry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from searchapp.models import ENDED_JOBS, ImportItem, ImportJob, ItemState, JobState, SourceKind
from searchapp.pages.access import visible_job
from searchapp.pages.images.bulk_actions import undo_address
from searchapp.pages.imports import ledger
from searchapp.pages.responses import count, duration, fragment_of, is_fragment, news, number
from searchapp.services.errors import ServiceError
from searchapp.services.images import image_edits
from searchapp.services.images.bulk_actions import Action
from searchapp.services.images.image_deletion import still_kept
from searchapp.services.imports import control, creation, job_progress, ledger_report
from searchapp.services.imports.job_progress import JobProgress
from searchapp.services.imports.sources.dataset import Plan
from searchapp.services.moments import parse_moment
from searchapp.services.operations import worker_health

PAGE = 30
MAX_FAILURES = 5
# htmx stops polling at this status.
STOP_POLLING = 286
BAD = (ItemState.REJECTED, ItemState.FAILED)


@dataclass(frozen=True)
class ProgressSegment:
    """A segment of a job's progress bar, in thousandths of its width."""

    kind: str
    start: int
    width: int


@dataclass(frozen=True)
class JobRow:
    """A job as the list shows it."""

    job: ImportJob
    progress: JobProgress
    segments: list[ProgressSegment]
    said: str
    pace: str

    @property
    def is_over(self) -> bool:
        return self.job.state in ENDED_JOBS

    @property
    def bad(self) -> int:
        return self.progress.rejected + self.progress.failed

    @property
    def kind(self) -> str:
        return self.job.get_state_display()


def row_of(job: ImportJob, progress: JobProgress) -> JobRow:
    return JobRow(job, progress, _segments(progress), _said(progress), _pace(job, progress))


def _segments(progress: JobProgress) -> list[ProgressSegment]:
    parts = (
        ("good", progress.ready + progress.checked),
        ("bad", progress.rejected + progress.failed),
        ("off", progress.cancelled),
    )
    segments: list[ProgressSegment] = []
    start = 0
    for kind, files in parts:
        if files:
            # Even the smallest segment must be visible.
            width = min(max(4, round(1000 * files / progress.total)), 1000 - start)
            segments.append(ProgressSegment(kind, start, width))
            start += width
    return segments


def _said(progress: JobProgress) -> str:
    """'4,950 of 5,000 ready, 50 rejected'."""
    total = number(progress.total)
    if progress.checked:
        parts = [f"{number(progress.checked)} of {total} would be added"]
    else:
        parts = [f"{number(progress.ready)} of {total} ready"]
    for files, word in (
        (progress.rejected, "rejected"),
        (progress.failed, "failed"),
        (progress.cancelled, "cancelled"),
    ):
        if files:
            parts.append(f"{number(files)} {word}")
    return ", ".join(parts)


def _pace(job: ImportJob, progress: JobProgress) -> str:
    """Return a job's rate and remaining time; of an ended job, how long it took."""
    parts: list[str] = []
    if progress.rate:
        parts.append(f"{progress.rate:.1f} files a second")
    if job.state in ENDED_JOBS:
        if progress.seconds >= 1:
            parts.insert(0, f"took {duration(progress.seconds)}")
    elif job.state == JobState.RUNNING and progress.seconds_left:
        more = " for what has come so far" if job.is_open else ""
        parts.append(f"about {duration(progress.seconds_left)} left{more}")
    return " · ".join(parts)


@login_required
@require_safe
def job_list(request: HttpRequest) -> HttpResponse:
    """Imports, newest first; `?before=TIME` starts below that time."""
    jobs = ledger_report.jobs_visible_to(request.user).select_related("dataset", "user")
    before = parse_moment(request.GET.get("before", ""))
    if before is not None:
        jobs = jobs.filter(created__lt=before)
    page = list(jobs.order_by("-created")[: PAGE + 1])
    numbers = job_progress.progress_of(page[:PAGE])
    rows = [row_of(job, numbers[job.pk]) for job in page[:PAGE]]
    work = worker_health.snapshot()
    context = {
        "rows": rows,
        "older": page[PAGE - 1].created.isoformat() if len(page) > PAGE else None,
        "before": before,
        "health": work,
        "waiting": _waiting(work),
        "featureless": _counted(work.featureless, "picture", "pictures"),
        "most_counted": worker_health.MAX_COUNTED,
    }
    if is_fragment(request):
        return news(request, "jobs/_list.html", context)
    return render(request, "jobs/list.html", context | {"seen": ""})


def _waiting(work: worker_health.Snapshot) -> str:
    """Return in words how many images and files wait for workers, or ''."""
    parts = (_counted(work.images, "picture", "pictures"), _counted(work.files, "file", "files"))
    return " and ".join(part for part in parts if part)


def _counted(waiting: int, one: str, many: str) -> str:
    if not waiting:
        return ""
    more = "more than " if waiting >= worker_health.MAX_COUNTED else ""
    return f"{more}{count(waiting, one, many)}"


@login_required
@require_safe
def detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    job = visible_job(request.user, pk)
    if is_fragment(request):
        return _progress(request, job)
    context = progress_context(request, job)
    context |= ledger.context_of(request, job, context["row"].progress)
    return render(request, "jobs/detail.html", context | {"seen": ""})


def progress_context(request: HttpRequest, job: ImportJob) -> dict[str, Any]:
    """Return the context of `jobs/_progress.html`."""
    row = row_of(job, job_progress.progress(job))
    bad: list[ImportItem] = []
    if row.bad:
        bad = list(job.items.filter(state__in=BAD).order_by("position")[:MAX_FAILURES])
    return {
        "job": job,
        "row": row,
        "sources": [source for source in job.sources.all()[:100] if source.error_code],
        "failures": bad,
        "undo_address": _undo_address(job),
        "may_control": ledger_report.may_control(job, request.user),
        "may_pause": job.state in (JobState.QUEUED, JobState.RUNNING),
        "may_retry": bool(row.progress.failed),
    }


def _undo_address(job: ImportJob) -> str:
    """Return where an ended change of many images is undone; '' where it cannot be."""
    if job.kind != SourceKind.DATASET or job.state not in ENDED_JOBS:
        return ""
    source = job.sources.first()
    change = None if source is None else Plan.parse(source.location).change
    if change is None or change.action == Action.UNDO or not (change.moment or change.edit):
        return ""
    moment = parse_moment(change.moment)
    if change.edit:
        kept = image_edits.is_kept(job.dataset, UUID(change.edit))
    else:
        kept = moment is not None and moment >= still_kept()
    return undo_address(job.dataset, change.moment, edit=change.edit) if kept else ""


def _progress(request: HttpRequest, job: ImportJob, error: str = "") -> HttpResponse:
    context = progress_context(request, job) | {
        "error": error,
        # Only the job's own page announces its end here; other pages announce it themselves.
        "fragment": (request.headers.get("HX-Current-URL") or "").find(job.get_absolute_url()) >= 0,
    }
    if job.state not in ENDED_JOBS:
        return news(request, "jobs/_progress.html", context)
    page = render(request, "jobs/_progress.html", context | {"seen": ""}, status=STOP_POLLING)
    page["HX-Trigger"] = "job-ended"
    return fragment_of(page)


ACTIONS: dict[str, tuple[Callable[[ImportJob], object], str]] = {
    "pause": (control.pause, "The import is paused."),
    "resume": (control.resume, "The import goes on."),
    "cancel": (control.cancel, "The import is cancelled. What was added before stays."),
    "retry": (control.retry_failed, "What failed is tried again."),
    "close": (creation.close, "The import takes no more files."),
}


@login_required
@require_POST
def act(request: HttpRequest, pk: UUID, action: str) -> HttpResponse:
    """Pause, resume, cancel or close a job, or retry its failed files."""
    job = visible_job(request.user, pk)
    if action not in ACTIONS or not ledger_report.may_control(job, request.user):
        raise Http404("There is no such import, or it is somebody else's.")
    do, message = ACTIONS[action]
    error = ""
    try:
        do(job)
    except ServiceError as refused:
        error = refused.detail
    if is_fragment(request):
        job = visible_job(request.user, pk)
        page = render(
            request, "jobs/_progress.html", progress_context(request, job) | {"error": error}
        )
        page["HX-Trigger"] = "job-changed"
        return fragment_of(page)
    if error:
        messages.error(request, error)
    else:
        messages.success(request, message)
    return redirect("job", pk)
