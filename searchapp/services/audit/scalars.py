"""Audit of the scalars stored with vectors: whether they match the rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from searchapp.infra.vectors.collection_names import SCALARS_VERSION
from searchapp.models import Image, Index, IndexState, StaleScalars
from searchapp.models.scalars import SCALAR_COLUMNS
from searchapp.services.audit.base import AuditScope, AuditStep, Check, Finding
from searchapp.services.filters import scalar_sync
from searchapp.services.indexes import lifecycle

_AT_ONCE = 500
_WHOLE = (IndexState.READY, IndexState.ACTIVE)


class WrongScalars(Check):
    kind = "scalars_stale"
    title = "Pictures that filters see as they were"
    counted = "pictures"
    repairs = "A worker writes what their rows say beside their vectors."

    def step(self, scope: AuditScope, after: Any) -> AuditStep:
        least, past = after or (0, 0)
        # Collections that are being refilled are known to be of an older format.
        indexes = Index.objects.filter(
            pk__gte=least, state__in=_WHOLE, scalars=SCALARS_VERSION
        ).select_related("dataset")
        if scope.dataset is not None:
            indexes = indexes.filter(dataset=scope.dataset)
        index = indexes.order_by("pk").first()
        if index is None:
            return AuditStep()
        if index.pk != least:
            past = 0
        ahead = lifecycle.members(index.dataset_id).filter(pk__gt=past).order_by("pk")
        images = list(ahead.only(*SCALAR_COLUMNS)[:_AT_ONCE])
        if not images:
            return AuditStep(after=(index.pk + 1, 0))
        detail = f"Beside its vector in index {index.pk} stands something else than its row says."
        findings = [
            Finding(f"picture {key}", detail, (index.pk, key), index.dataset.slug)
            for key in scalar_sync.stale(index, images)
        ]
        return AuditStep(findings, len(images), (index.pk, images[-1].pk))

    def confirm(self, findings: Sequence[Finding]) -> list[Finding]:
        by_index: dict[int, dict[int, Finding]] = defaultdict(dict)
        for finding in findings:
            by_index[finding.key[0]][finding.key[1]] = finding
        confirmed: list[Finding] = []
        for pk, by_image in by_index.items():
            index = Index.objects.filter(pk=pk, state__in=_WHOLE).first()
            if index is None:
                continue
            # Images on the list are going to be written.
            listed = StaleScalars.objects.filter(image_id__in=by_image)
            waiting = set(listed.values_list("image_id", flat=True))
            members = lifecycle.members(index.dataset_id).filter(pk__in=set(by_image) - waiting)
            images: list[Image] = list(members.only(*SCALAR_COLUMNS))
            confirmed += [by_image[key] for key in sorted(scalar_sync.stale(index, images))]
        return confirmed

    def repair(self, findings: Sequence[Finding]) -> int:
        StaleScalars.note(sorted({finding.key[1] for finding in findings}))
        return len(findings)
