"""Audit of rows: states that a killed process left inconsistent."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from searchapp.infra.bulk_update import update_rows
from searchapp.models import (
    ACTIVE_JOBS,
    PENDING_ITEMS,
    PENDING_STATES,
    Image,
    ImageState,
    ImportItem,
    ImportJob,
    ImportSource,
    ItemState,
)
from searchapp.services.audit.base import AuditScope, AuditStep, Check, Finding
from searchapp.services.audit.files import look_again
from searchapp.services.imports import job_progress
from searchapp.services.ingest import claims

_AT_ONCE = 500
# The periodic sweep repairs these within seconds: they count only after many chances.
_LATE = timedelta(minutes=5)


class StaleItems(Check):
    kind = "items_stale"
    title = "Rows of ledgers that wait for pictures that are settled"
    counted = "rows"
    repairs = "They say what became of their pictures."

    def _stale(self) -> QuerySet[ImportItem]:
        with_image = (ItemState.RECEIVED, ItemState.PROCESSING)
        settled = Q(image=None) | ~Q(image__state__in=PENDING_STATES)
        return ImportItem.objects.filter(settled, state__in=with_image)

    def step(self, scope: AuditScope, after: Any) -> AuditStep:
        rows = self._stale().filter(pk__gt=after or 0)
        if scope.dataset is not None:
            rows = rows.filter(job__dataset=scope.dataset)
        items = list(rows.select_related("job__dataset").order_by("pk")[:_AT_ONCE])
        findings = [
            Finding(
                f"row {item.position} of import {item.job_id}",
                f"It says {item.state}, but its picture is settled.",
                item.pk,
                item.job.dataset.slug,
            )
            for item in items
        ]
        return AuditStep(findings, len(items), items[-1].pk if items else None)

    def confirm(self, findings: Sequence[Finding]) -> list[Finding]:
        rows = self._stale().filter(pk__in=[one.key for one in findings])
        still = set(rows.values_list("pk", flat=True))
        return [one for one in findings if one.key in still]

    def repair(self, findings: Sequence[Finding]) -> int:
        rows = self._stale().filter(pk__in=[one.key for one in findings])
        items = list(rows.select_related("image"))
        for item in items:
            image = item.image
            if image is None or image.state == ImageState.DELETED:
                item.state, item.error_code = ItemState.REJECTED, "deleted"
                item.error_detail = "The image was deleted before it was ready."
            else:
                item.state, item.error_code = ItemState(image.state), image.error_code
                item.error_detail = image.error_detail
        update_rows(items, ["state", "error_code", "error_detail"])
        job_progress.settle({item.job_id for item in items})
        return len(findings)


class StaleJobs(Check):
    kind = "jobs_stale"
    title = "Imports that should have ended"
    counted = "imports"
    repairs = "They end."

    def _stale(self) -> QuerySet[ImportJob]:
        unlisted = ImportSource.objects.filter(job=OuterRef("pk"), is_listed=False)
        pending = ImportItem.objects.filter(job=OuterRef("pk"), state__in=PENDING_ITEMS)
        return ImportJob.objects.filter(
            ~Exists(unlisted),
            ~Exists(pending),
            state__in=ACTIVE_JOBS,
            is_open=False,
            created__lt=timezone.now() - _LATE,
        )

    def step(self, scope: AuditScope, after: Any) -> AuditStep:
        rows = self._stale()
        if scope.dataset is not None:
            rows = rows.filter(dataset=scope.dataset)
        jobs = list(rows.select_related("dataset").order_by("created")[:_AT_ONCE])
        findings = [
            Finding(
                f"import {job.pk}",
                f"It is {job.state} though nothing of it waits.",
                str(job.pk),
                job.dataset.slug,
            )
            for job in jobs
        ]
        return AuditStep(findings, len(jobs))

    def confirm(self, findings: Sequence[Finding]) -> list[Finding]:
        rows = self._stale().filter(pk__in=[one.key for one in findings])
        still = {str(pk) for pk in rows.values_list("pk", flat=True)}
        return [one for one in findings if one.key in still]

    def repair(self, findings: Sequence[Finding]) -> int:
        job_progress.settle([one.key for one in findings])
        return len(findings) - len(self.confirm(findings))


class _Pictures(Check):
    """Images whose rows are wrong in one way."""

    counted = "pictures"
    said: ClassVar[str]  # the detail of each finding

    @abstractmethod
    def wrong(self) -> QuerySet[Image]:
        """Return the wrong images of all datasets."""

    def step(self, scope: AuditScope, after: Any) -> AuditStep:
        rows = self.wrong().filter(pk__gt=after or 0)
        if scope.dataset is not None:
            rows = rows.filter(dataset=scope.dataset)
        images = list(rows.select_related("dataset").order_by("pk")[:_AT_ONCE])
        findings = [
            Finding(f"picture {image.pk}", self.said, image.pk, image.dataset.slug)
            for image in images
        ]
        return AuditStep(findings, len(images), images[-1].pk if images else None)

    def confirm(self, findings: Sequence[Finding]) -> list[Finding]:
        rows = self.wrong().filter(pk__in=[one.key for one in findings])
        still = set(rows.values_list("pk", flat=True))
        return [one for one in findings if one.key in still]


class StuckImages(_Pictures):
    kind = "images_stuck"
    title = "Pictures that a worker holds which is dead"
    repairs = "They wait for another worker."
    said = "Its worker has shown no life for minutes."

    def wrong(self) -> QuerySet[Image]:
        late = timezone.now() - _LATE
        return Image.objects.filter(state=ImageState.PROCESSING, lease_until__lt=late)

    def repair(self, findings: Sequence[Finding]) -> int:
        claims.free_expired()
        return len(findings) - len(self.confirm(findings))


class MissingFacts(_Pictures):
    kind = "facts_missing"
    title = "Ready pictures of unknown size"
    repairs = "Workers look at the originals again."
    said = "It is ready, but its width and height are not known."

    def wrong(self) -> QuerySet[Image]:
        unknown = Q(width=None) | Q(height=None)
        return Image.objects.filter(unknown, state=ImageState.READY)

    def repair(self, findings: Sequence[Finding]) -> int:
        return look_again([one.key for one in findings])
