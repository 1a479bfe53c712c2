"""Audit of local features: files that rows refer to but that are missing or outdated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from searchapp.infra import storage
from searchapp.models import FeatureState, Image, ImageState
from searchapp.services.audit.base import AuditScope, AuditStep, Check, Finding
from searchapp.services.ingest import feature_claims

_AT_ONCE = 200


class MissingFeatures(Check):
    kind = "features_missing"
    title = "Pictures whose local features are missing or of an old version"
    counted = "pictures"
    repairs = "Workers make them again when nothing else waits."

    def step(self, scope: AuditScope, after: Any) -> AuditStep:
        rows = self._said_to_have_some().filter(pk__gt=after or 0)
        if scope.dataset is not None:
            rows = rows.filter(dataset=scope.dataset)
        images = list(rows.select_related("dataset").order_by("pk")[:_AT_ONCE])
        findings = [
            Finding(f"picture {image.pk}", detail, image.pk, image.dataset.slug)
            for image in images
            if (detail := self._wrong(image))
        ]
        return AuditStep(findings, len(images), images[-1].pk if images else None)

    def confirm(self, findings: Sequence[Finding]) -> list[Finding]:
        rows = self._said_to_have_some().filter(pk__in=[one.key for one in findings])
        still = {image.pk for image in rows if self._wrong(image)}
        return [one for one in findings if one.key in still]

    def repair(self, findings: Sequence[Finding]) -> int:
        rows = self._said_to_have_some().filter(pk__in=[one.key for one in findings])
        mended = rows.update(features=FeatureState.NONE)
        feature_claims.call_workers()
        return mended

    def _said_to_have_some(self) -> QuerySet[Image]:
        return Image.objects.filter(state=ImageState.READY, features__gt=0)

    def _wrong(self, image: Image) -> str:
        from embeddings.geometry.local_features import VERSION  # not in the web process

        if image.features != VERSION:
            return f"Its local features are of version {image.features}, not {VERSION}."
        if not storage.has_features(image.thumbnail_key):
            return "Its local features are missing."
        return ""
