"""Run audits: started, continued in slices under a claim on the report, and finished.

A slice is short, so that an audit of a million images keeps no import waiting; the report stores
where the next one begins. A killed slice is continued from its last step; steps are idempotent.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from searchapp.infra import queue
from searchapp.infra.vectors.errors import VectorsError, VectorsUnavailable
from searchapp.models import AuditReport, Dataset
from searchapp.services.audit.base import AuditScope, Check, Finding
from searchapp.services.audit.features import MissingFeatures
from searchapp.services.audit.files import (
    BrokenChecksums,
    MissingOriginals,
    MissingThumbnails,
    UnusedFiles,
)
from searchapp.services.audit.fingerprints import WrongFingerprints
from searchapp.services.audit.rows import MissingFacts, StaleItems, StaleJobs, StuckImages
from searchapp.services.audit.scalars import WrongScalars
from searchapp.services.audit.vectors import (
    MissingVectors,
    OrphanedCollections,
    OrphanedVectors,
    WrongDimensions,
)
from searchapp.services.errors import Conflict

if TYPE_CHECKING:
    from django.contrib.auth.models import User

log = logging.getLogger(__name__)
TASK = "audit.advance"
SLICE_SECONDS = 3.0
LEASE = timedelta(seconds=60)
KEPT_REPORTS = 100
TOLD_OF_A_KIND = 20  # findings that a report names
_SAVE_SECONDS = 0.5
_PAUSE_SECONDS = 0.5  # before a finding is confirmed

# In order of execution: later checks see what earlier repairs cause.
CHECKS: tuple[type[Check], ...] = (
    StuckImages,
    StaleItems,
    StaleJobs,
    MissingOriginals,
    BrokenChecksums,
    MissingThumbnails,
    MissingFacts,
    MissingFeatures,
    UnusedFiles,
    WrongFingerprints,
    WrongDimensions,
    MissingVectors,
    WrongScalars,
    OrphanedVectors,
    OrphanedCollections,
)
BY_KIND: dict[str, type[Check]] = {check.kind: check for check in CHECKS}


def start(
    *,
    deep: bool = False,
    repair: bool = False,
    dataset: Dataset | None = None,
    user: User | AnonymousUser | None = None,
    here: bool = False,
) -> AuditReport:
    """Start an audit of everything, or of one dataset.

    Workers run it; with `here`, the caller does, by `run`.

    Raises `Conflict` with code `audit_running` while another one runs in workers.
    """
    account = user if user is not None and user.is_authenticated else None
    with transaction.atomic():
        if not here and AuditReport.objects.filter(ended=None).exists():
            raise Conflict("audit_running", "An audit is running: wait until it has ended.")
        report = AuditReport.objects.create(
            deep=deep,
            repair=repair,
            dataset=dataset.slug if dataset is not None else "",
            user=account,
            position={"check": 0, "after": None},
            claim=secrets.token_hex(16) if here else "",
            lease_until=timezone.now() + LEASE if here else None,
        )
        old = AuditReport.objects.order_by("-pk").values_list("pk", flat=True)[KEPT_REPORTS:]
        AuditReport.objects.filter(pk__in=list(old)).exclude(ended=None).delete()
        if not here:
            transaction.on_commit(call_worker)
    return report


def call_worker() -> None:
    """Wake a worker. A lost call does no harm: the periodic sweep calls again."""
    with contextlib.suppress(queue.QueueUnavailable):
        if not queue.waiting_of(queue.MAINTENANCE, TASK):
            queue.send(TASK)


def waits() -> bool:
    """Whether an audit waits for a worker."""
    return _claimable().exists()


def _claimable() -> QuerySet[AuditReport]:
    free = Q(lease_until=None) | Q(lease_until__lt=timezone.now())
    return AuditReport.objects.filter(free, ended=None).order_by("pk")


def advance() -> bool:
    """Run one slice of the waiting audit; returns whether there is more to do."""
    pk = _claimable().values_list("pk", flat=True).first()
    if pk is None:
        return False
    token = secrets.token_hex(16)
    if not _claimable().filter(pk=pk).update(claim=token, lease_until=timezone.now() + LEASE):
        return True
    report = AuditReport.objects.get(pk=pk, claim=token)
    _slice(report, SLICE_SECONDS)
    if report.ended is None:
        AuditReport.objects.filter(pk=pk, claim=token).update(claim="", lease_until=None)
    return report.ended is None


def run(report: AuditReport) -> AuditReport:
    """Run an audit to its end that was started with `here`."""
    while report.ended is None:
        _slice(report, SLICE_SECONDS)
    return report


def _slice(report: AuditReport, seconds: float) -> None:
    until = time.monotonic() + seconds
    dataset = _dataset_of(report)
    if report.dataset and dataset is None:  # never fall back to checking and repairing everything
        report.error_detail = "The dataset was deleted before the audit had ended."
        report.left = _left(report)
        report.ended = timezone.now()
        _save(report)
        return
    scope = AuditScope(dataset, report.deep)
    checks: dict[int, Check] = {}
    saved = time.monotonic()
    while report.ended is None and time.monotonic() < until:
        place = int(report.position["check"])
        if place >= len(CHECKS):
            report.left = _left(report)
            report.ended = timezone.now()
        elif not _concerns(CHECKS[place], scope):
            report.position = {"check": place + 1, "after": None}
        else:
            check = checks.setdefault(place, CHECKS[place]())
            _step(report, check, scope, place)
        # Steps are idempotent, and most find nothing: not every one is worth a write.
        if time.monotonic() > min(saved + _SAVE_SECONDS, until) or report.ended is not None:
            if not _save(report):
                log.warning("audit %d is carried on by somebody else", report.pk)
                return
            saved = time.monotonic()


def _left(report: AuditReport) -> int:
    return sum(one["found"] - one["repaired"] for one in report.counts.values())


def _dataset_of(report: AuditReport) -> Dataset | None:
    # The slug may have changed since.
    there = Dataset.objects.filter(deleted=None)
    return there.named(report.dataset) if report.dataset else None


def _concerns(check: type[Check], scope: AuditScope) -> bool:
    if check.deep_only and not scope.deep:
        return False
    return not (check.whole_only and scope.dataset is not None)


def _step(report: AuditReport, check: Check, scope: AuditScope, place: int) -> None:
    counts = report.counts.setdefault(check.kind, {"found": 0, "repaired": 0})
    try:
        step = check.step(scope, report.position["after"])
        findings = list(step.findings)
        if findings:
            time.sleep(_PAUSE_SECONDS)
            findings = check.confirm(findings)
        repaired = check.repair(findings) if findings and report.repair and check.repairs else 0
    except VectorsUnavailable:
        _skip(report, place, "The vectors were not looked at: Milvus cannot be reached.")
        return
    except VectorsError as error:
        _skip(report, place, str(error))
        return
    except Exception:
        log.exception("the check %s failed", check.kind)
        _skip(report, place, f"The check {check.kind} failed; the log says why.")
        return
    counts["found"] += len(findings)
    counts["repaired"] += repaired
    report.checked[check.kind] = report.checked.get(check.kind, 0) + step.looked
    _tell(report, check, findings, repaired)
    if step.after is None:
        report.position = {"check": place + 1, "after": None}
    else:
        report.position = {"check": place, "after": step.after}


def _skip(report: AuditReport, place: int, why: str) -> None:
    report.error_detail = why[:500]
    report.position = {"check": place + 1, "after": None}


def _tell(report: AuditReport, check: Check, findings: list[Finding], repaired: int) -> None:
    reported = sum(1 for one in report.findings if one["kind"] == check.kind)
    report.findings += [
        {
            "kind": check.kind,
            "subject": one.subject,
            "detail": one.detail,
            "dataset": one.dataset,
            "repaired": place < repaired,
        }
        for place, one in enumerate(findings[: max(0, TOLD_OF_A_KIND - reported)])
    ]


def _save(report: AuditReport) -> bool:
    fields = ("counts", "findings", "checked", "left", "error_detail", "position", "ended")
    changed: dict[str, Any] = {name: getattr(report, name) for name in fields}
    claimed = AuditReport.objects.filter(pk=report.pk, claim=report.claim, ended=None)
    if report.ended is not None:
        changed |= {"claim": "", "lease_until": None}
    else:
        changed["lease_until"] = timezone.now() + LEASE
    return bool(claimed.update(**changed))
