"""Audit of fingerprints: indexes whose pipeline has changed since they were created."""

from __future__ import annotations

from typing import Any

from embeddings.errors import EmbeddingsError
from embeddings.recipes import recipe
from searchapp.models import LIVE_INDEXES, Index
from searchapp.services.audit.base import AuditScope, AuditStep, Check, Finding


class WrongFingerprints(Check):
    kind = "fingerprint_wrong"
    title = "Indexes whose pipeline is another one in this version"
    counted = "indexes"
    advice = "Make a new index with a pipeline that can be had here, and activate that."

    def step(self, scope: AuditScope, after: Any) -> AuditStep:
        indexes = Index.objects.filter(state__in=LIVE_INDEXES).select_related("dataset")
        if scope.dataset is not None:
            indexes = indexes.filter(dataset=scope.dataset)
        rows = list(indexes.filter(pk__gt=after or 0).order_by("pk")[:100])
        findings = []
        for index in rows:
            fault = _fault(index)
            if fault:
                findings.append(Finding(f"index {index.pk}", fault, index.pk, index.dataset.slug))
        return AuditStep(findings, len(rows), rows[-1].pk if rows else None)


def _fault(index: Index) -> str:
    try:
        now = recipe(index.pipeline).fingerprint
    except EmbeddingsError as error:
        return f"The pipeline {index.pipeline} cannot be had: {error.detail}"
    if now == index.fingerprint:
        return ""
    return (
        f"It was made by another version of the pipeline {index.pipeline}: "
        f"{index.fingerprint[:12]}, not {now[:12]}. No new picture can be added to it."
    )
