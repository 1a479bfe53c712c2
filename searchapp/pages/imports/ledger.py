"""The ledger of an import: one row per file, with filters, pages and a CSV export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_safe

from searchapp.models import ENDED_JOBS, PENDING_ITEMS, ImportItem, ImportJob, ItemState
from searchapp.models.partial_indexes import ITEM_HAS_CODE
from searchapp.pages.access import visible_job
from searchapp.pages.responses import news
from searchapp.services.imports import job_progress, ledger_report
from searchapp.services.imports.job_progress import JobProgress

PAGE = 100
MAX_CODES = 50
MAX_POSITION = 2**31 - 1
STATES: dict[str, tuple[ItemState, ...]] = {
    "ready": (ItemState.READY,),
    "checked": (ItemState.CHECKED,),
    "waiting": PENDING_ITEMS,
    "rejected": (ItemState.REJECTED,),
    "failed": (ItemState.FAILED,),
    "cancelled": (ItemState.CANCELLED,),
}
_WORDS = {"checked": "Would be added"}


@dataclass(frozen=True)
class LedgerParams:
    """The filter, order and page of a ledger, as its URL holds them."""

    state: str = ""
    code: str = ""
    name: str = ""
    last_first: bool = False
    after: int | None = None

    @classmethod
    def of(cls, request: HttpRequest) -> LedgerParams:
        """Read the parameters of a request; invalid ones are ignored."""
        params = request.GET
        after = params.get("after", "")
        position = int(after[:10]) if after.isascii() and after.isdigit() else -1
        return cls(
            state=params.get("state", "") if params.get("state", "") in STATES else "",
            code=params.get("code", "").replace("\0", "")[:60],
            name=params.get("name", "").replace("\0", "").strip()[:200],
            last_first=params.get("order") == "last",
            after=position if 0 <= position <= MAX_POSITION else None,
        )

    def query(self, **changes: Any) -> str:
        """Return the query string of these rows with `changes`: '' or '?…'."""
        values = {
            "state": self.state,
            "code": self.code,
            "name": self.name,
            "order": "last" if self.last_first else "",
            "after": "" if self.after is None else str(self.after),
        } | changes
        written = urlencode({key: value for key, value in values.items() if value != ""})
        return f"?{written}" if written else "?"

    @property
    def is_filtered(self) -> bool:
        return bool(self.state or self.code or self.name)


@dataclass(frozen=True)
class Tab:
    """A filter of the rows, and how many rows it has."""

    name: str
    word: str
    files: int
    address: str


def rows_of(job: ImportJob, params: LedgerParams) -> QuerySet[ImportItem]:
    """Return the rows after `params.after`; every page costs as much as the first one."""
    queryset = ImportItem.objects.filter(job=job)
    if params.state:
        queryset = queryset.filter(state__in=STATES[params.state])
    if params.code:
        queryset = queryset.filter(ITEM_HAS_CODE, error_code=params.code)
    if params.name:
        queryset = queryset.filter(name__icontains=params.name)
    if params.after is not None:
        queryset = queryset.filter(
            **{"position__lt" if params.last_first else "position__gt": params.after}
        )
    return queryset.order_by("-position" if params.last_first else "position").defer(
        "locator", "given"
    )


def context_of(request: HttpRequest, job: ImportJob, progress: JobProgress) -> dict[str, Any]:
    """Return the context of `jobs/_ledger.html`."""
    params = LedgerParams.of(request)
    ledger_items = list(rows_of(job, params)[: PAGE + 1])
    rows = ledger_items[:PAGE]
    more = len(ledger_items) > PAGE
    return {
        "job": job,
        "asked": params,
        "items": rows,
        "here": params.query(),
        "next": params.query(after=rows[-1].position) if more else "",
        "first": params.query(after="") if params.after is not None else "",
        "turned": params.query(after="", order="" if params.last_first else "last"),
        "everything": params.query(after="", state="", code="", name=""),
        "tabs_of_states": _tabs(progress, params),
        "codes": _codes(job, params),
        # The page polls while its rows may still change and keep their positions.
        "is_live": job.state not in ENDED_JOBS
        and not params.is_filtered
        and not params.last_first
        and (not more or any(item.is_pending for item in rows)),
    }


def _tabs(progress: JobProgress, params: LedgerParams) -> list[Tab]:
    numbers = {name: int(getattr(progress, name)) for name in STATES}
    every = [Tab("", "All", progress.total, params.query(after="", state="", code=""))]
    return every + [
        Tab(
            name,
            _WORDS.get(name, name.capitalize()),
            files,
            params.query(after="", state=name, code=""),
        )
        for name, files in numbers.items()
        if files or name == params.state
    ]


def _codes(job: ImportJob, params: LedgerParams) -> list[Tab]:
    """Return the error codes that occur with their counts, the most frequent first."""
    if params.state and params.state not in ("rejected", "failed"):
        return []
    queryset = ImportItem.objects.filter(ITEM_HAS_CODE, job=job)
    if params.state:
        queryset = queryset.filter(state__in=STATES[params.state])
    counted = queryset.order_by().values_list("error_code").annotate(files=Count("pk"))
    return [
        Tab(code, code, files, params.query(after="", code="" if code == params.code else code))
        for code, files in counted.order_by("-files")[:MAX_CODES]
    ]


@login_required
@require_safe
def items(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The ledger alone, for htmx."""
    job = visible_job(request.user, pk)
    return news(request, "jobs/_ledger.html", context_of(request, job, job_progress.progress(job)))


@login_required
@require_safe
def as_csv(request: HttpRequest, pk: UUID) -> StreamingHttpResponse:
    """The whole ledger as a file."""
    job = visible_job(request.user, pk)
    answer = StreamingHttpResponse(
        ledger_report.ledger_csv(job), content_type="text/csv; charset=utf-8"
    )
    answer["Content-Disposition"] = f'attachment; filename="import-{job.pk}.csv"'
    answer["Cache-Control"] = "no-store"
    return answer
