"""Audit pages, for staff: findings of audits, and starting one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from searchapp.models import AuditReport, Dataset
from searchapp.pages.access import find_dataset
from searchapp.pages.imports.jobs import STOP_POLLING
from searchapp.pages.responses import fragment_of, is_fragment, render_error
from searchapp.services import audit
from searchapp.services.errors import ServiceError

_LISTED = 30


@dataclass(frozen=True)
class FindingKind:
    """The findings of one check."""

    title: str
    counted: str
    looked: int
    found: int
    repaired: int
    remedy: str
    findings: list[dict[str, Any]]

    @property
    def more(self) -> int:
        return self.found - len(self.findings)


def _staff_only(request: HttpRequest) -> None:
    if not (request.user.is_authenticated and request.user.is_staff):
        raise PermissionDenied("Only staff may look at audits.")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def audit_list(request: HttpRequest) -> HttpResponse:
    """Audits, newest first; POST starts one, of everything or of one dataset."""
    _staff_only(request)
    context = {"reports": AuditReport.objects.select_related("user").order_by("-pk")[:_LISTED]}
    if request.method != "POST":
        return render(request, "audit/list.html", context)
    try:
        report = audit.start(
            deep="deep" in request.POST,
            repair="repair" in request.POST,
            dataset=_dataset(request),
            user=request.user,
        )
    except ServiceError as error:
        return render_error(request, "audit/list.html", context, error)
    messages.success(request, "The audit has begun.")
    return redirect("audit", report.pk)


def _dataset(request: HttpRequest) -> Dataset | None:
    slug = request.POST.get("dataset", "")
    return find_dataset(request.user, slug) if slug else None


@login_required
@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    _staff_only(request)
    report = AuditReport.objects.select_related("user").filter(pk=pk).first()
    if report is None:
        raise Http404("There is no such audit.")
    kinds = [_kind(report, check) for check in audit.CHECKS if check.kind in report.counts]
    context = {
        "report": report,
        "kinds": [kind for kind in kinds if kind.found],
        "clean": [kind for kind in kinds if not kind.found],
        "found": sum(kind.found for kind in kinds),
        "repaired": sum(kind.repaired for kind in kinds),
        "step": min(int(report.position.get("check", 0)), len(audit.CHECKS)),
        "steps": len(audit.CHECKS),
        "can_repair": report.ended is not None
        and any(check.repairs and _left(report, check) for check in audit.CHECKS),
    }
    if is_fragment(request):
        status = STOP_POLLING if report.ended is not None else 200
        return fragment_of(render(request, "audit/_report.html", context, status=status))
    return render(request, "audit/detail.html", context)


def _left(report: AuditReport, check: type[audit.Check]) -> int:
    counts = report.counts.get(check.kind, {"found": 0, "repaired": 0})
    return int(counts["found"]) - int(counts["repaired"])


def _kind(report: AuditReport, check: type[audit.Check]) -> FindingKind:
    counts = report.counts[check.kind]
    return FindingKind(
        title=check.title,
        counted=check.counted,
        looked=report.checked.get(check.kind, 0),
        found=counts["found"],
        repaired=counts["repaired"],
        remedy=check.repairs or check.advice,
        findings=[one for one in report.findings if one["kind"] == check.kind],
    )
