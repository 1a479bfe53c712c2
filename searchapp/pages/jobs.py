"""Imports: one's own, and the ledger of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import Case, Value, When
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive
from django.views.decorators.http import require_safe

from searchapp.models import ImageState, ImportJob
from searchapp.pages.responses import fragment_of, is_fragment
from searchapp.services.jobs import JobProgress, progress

PAGE = 30
MOST_ITEMS = 500
# htmx stops to poll at this status.
STOP_POLLING = 286
# What went wrong stands at the top of the ledger.
_BAD_FIRST = Case(
    When(state__in=[ImageState.REJECTED, ImageState.FAILED], then=Value(0)), default=Value(1)
)
STATE_WORDS = {
    "queued": "queued",
    "running": "running",
    "finished": "finished",
    "finished_with_errors": "finished, with errors",
}


@dataclass(frozen=True)
class Row:
    job: ImportJob
    progress: JobProgress
    word: str


@login_required
@require_safe
def job_list(request: HttpRequest) -> HttpResponse:
    """One's own imports, newest first; `?before=TIME` begins below that moment."""
    jobs = ImportJob.objects.filter(user=request.user.pk).select_related("dataset")
    before = _moment(request.GET.get("before", ""))
    if before is not None:
        jobs = jobs.filter(created__lt=before)
    found = list(jobs.order_by("-created")[: PAGE + 1])
    rows = [_row(job) for job in found[:PAGE]]
    context = {
        "rows": rows,
        "older": found[PAGE - 1].created.isoformat() if len(found) > PAGE else None,
        "before": before,
    }
    return render(request, "jobs/list.html", context)


@login_required
@require_safe
def detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    job = ImportJob.objects.select_related("dataset").filter(pk=pk).first()
    if job is None or not (job.user_id == request.user.pk or job.dataset.may_edit(request.user)):
        raise Http404("There is no such import, or it is somebody else's.")
    row = _row(job)
    done = row.progress.waiting == 0
    items = job.items.select_related("image").defer("image__metadata")
    items = items.order_by(_BAD_FIRST, "position")
    context = {
        "row": row,
        "job": job,
        "done": done,
        "settled": row.progress.total - row.progress.waiting,
        "items": job.items.select_related("image")
        .defer("image__metadata")
        .order_by(_BAD_FIRST, "position")[:MOST_ITEMS],
        "most_items": MOST_ITEMS,
        "fragment": is_fragment(request),
    }
    if is_fragment(request):
        status = STOP_POLLING if done else 200
        return fragment_of(render(request, "jobs/_ledger.html", context, status=status))
    return render(request, "jobs/detail.html", context)


def _row(job: ImportJob) -> Row:
    now = progress(job)
    return Row(job, now, STATE_WORDS[now.state])


def _moment(text: str) -> datetime | None:
    try:
        moment = parse_datetime(text.replace(" ", "+"))
        return None if moment is None or is_naive(moment) else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
