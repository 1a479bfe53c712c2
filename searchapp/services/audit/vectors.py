"""Audit of vectors: differences between database and Milvus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from searchapp.infra.vectors.store import get_store
from searchapp.models import (
    LIVE_INDEXES,
    Image,
    Index,
    IndexChunk,
    IndexState,
    VectorCleanup,
)
from searchapp.services.audit.base import AuditScope, AuditStep, Check, Finding
from searchapp.services.indexes import lifecycle
from searchapp.services.operations import cleanup

_IMAGES_AT_ONCE = 1000
_VECTORS_AT_ONCE = 5000
_WHOLE = (IndexState.READY, IndexState.ACTIVE)


def _next_index(scope: AuditScope, states: Sequence[str], least: int) -> Index | None:
    indexes = Index.objects.filter(pk__gte=least, state__in=states).select_related("dataset")
    if scope.dataset is not None:
        indexes = indexes.filter(dataset=scope.dataset)
    return indexes.order_by("pk").first()


def _by_index(findings: Sequence[Finding]) -> dict[int, dict[int, Finding]]:
    """Return findings whose key is (index, image), by index and image."""
    by_index: dict[int, dict[int, Finding]] = defaultdict(dict)
    for finding in findings:
        by_index[finding.key[0]][finding.key[1]] = finding
    return by_index


class MissingVectors(Check):
    kind = "vectors_missing"
    title = "Ready pictures without a vector"
    counted = "pictures"
    repairs = "Workers embed them again from their originals."

    def step(self, scope: AuditScope, after: Any) -> AuditStep:
        least, past = after or (0, 0)
        index = _next_index(scope, _WHOLE, least)
        if index is None:
            return AuditStep()
        if index.pk != least:
            past = 0
        ahead = lifecycle.members(index.dataset_id).filter(pk__gt=past).order_by("pk")
        keys = list(ahead.values_list("pk", flat=True)[:_IMAGES_AT_ONCE])
        if not keys:
            return AuditStep(after=(index.pk + 1, 0))
        missing = self._missing(index, keys)
        return AuditStep(
            [
                Finding(
                    f"picture {key}",
                    f"It is ready, but index {index.pk} ({index.pipeline}) has no vector of it.",
                    (index.pk, key),
                    index.dataset.slug,
                )
                for key in missing
            ],
            len(keys),
            (index.pk, keys[-1]),
        )

    def _missing(self, index: Index, keys: Sequence[int]) -> list[int]:
        there = get_store().known(index.collection, keys)
        there |= set(index.gaps.filter(image__in=keys).values_list("image_id", flat=True))
        return [key for key in keys if key not in there]

    def confirm(self, findings: Sequence[Finding]) -> list[Finding]:
        confirmed: list[Finding] = []
        for pk, by_image in _by_index(findings).items():
            index = Index.objects.filter(pk=pk, state__in=_WHOLE).first()
            if index is None:
                continue
            owed = list(
                IndexChunk.objects.filter(
                    index=index, first__lte=max(by_image), last__gte=min(by_image)
                ).values_list("first", "last")
            )
            ready = lifecycle.members(index.dataset_id).filter(pk__in=by_image)
            keys = [
                key
                for key in ready.order_by("pk").values_list("pk", flat=True)
                if not any(first <= key <= last for first, last in owed)
            ]
            confirmed += [by_image[key] for key in self._missing(index, keys)]
        return confirmed

    def repair(self, findings: Sequence[Finding]) -> int:
        for pk, by_image in _by_index(findings).items():
            for index in Index.objects.filter(pk=pk, state__in=LIVE_INDEXES):
                lifecycle.owe(index, sorted(by_image))
        lifecycle.call_workers()
        return len(findings)


class OrphanedVectors(Check):
    kind = "vectors_orphaned"
    title = "Vectors of pictures that are gone"
    counted = "vectors"
    repairs = "They are deleted."

    def step(self, scope: AuditScope, after: Any) -> AuditStep:
        least, past = after or (0, -1)
        index = _next_index(scope, LIVE_INDEXES, least)
        if index is None:
            return AuditStep()
        if index.pk != least:
            past = -1
        keys = get_store().ids_after(index.collection, past, _VECTORS_AT_ONCE)
        if not keys:
            return AuditStep(after=(index.pk + 1, -1))
        stretch = Image.objects.filter(
            dataset=index.dataset_id, pk__gte=keys[0], pk__lte=keys[-1]
        ).order_by()
        there = set(stretch.values_list("pk", flat=True).iterator(chunk_size=5000))
        return AuditStep(
            [
                Finding(
                    f"vector {key}",
                    f"Index {index.pk} ({index.pipeline}) has it, but there is no such picture.",
                    (index.pk, key),
                    index.dataset.slug,
                )
                for key in keys
                if key not in there
            ],
            len(keys),
            (index.pk, keys[-1]),
        )

    def confirm(self, findings: Sequence[Finding]) -> list[Finding]:
        confirmed: list[Finding] = []
        for pk, by_image in _by_index(findings).items():
            index = Index.objects.filter(pk=pk).first()
            if index is None:
                continue
            # Vectors on the list are going to be removed.
            listed = VectorCleanup.objects.filter(collection=index.collection)
            if listed.filter(image_id=None).exists():
                continue
            waiting = set(listed.values_list("image_id", flat=True))
            rows = Image.objects.filter(pk__in=by_image, dataset=index.dataset_id)
            there = set(rows.values_list("pk", flat=True))
            keys = get_store().known(index.collection, sorted(set(by_image) - there - waiting))
            confirmed += [by_image[key] for key in sorted(keys)]
        return confirmed

    def repair(self, findings: Sequence[Finding]) -> int:
        number = 0
        for pk, by_image in _by_index(findings).items():
            for index in Index.objects.filter(pk=pk):
                VectorCleanup.objects.bulk_create(
                    VectorCleanup(collection=index.collection, image_id=key) for key in by_image
                )
                number += len(by_image)
        while cleanup.forget_vectors() >= 1000:
            pass
        return number


class OrphanedCollections(Check):
    kind = "collections_orphaned"
    title = "Collections that belong to no index"
    counted = "collections"
    repairs = "They are dropped, which frees their space."
    whole_only = True

    def step(self, scope: AuditScope, after: Any) -> AuditStep:
        ours = [name for name in get_store().collections() if name.startswith("lookalike_")]
        findings = [
            Finding(name, "No index of this installation has this collection.", name)
            for name in ours
        ]
        return AuditStep(self._unused(findings), len(ours))

    def _unused(self, findings: Sequence[Finding]) -> list[Finding]:
        # Rows are created before collections and deleted before them, so rows are read later.
        used = {
            index.collection
            for index in Index.objects.exclude(state=IndexState.RETIRED).defer("recipe")
        }
        listed = VectorCleanup.objects.filter(image_id=None)
        used |= set(listed.values_list("collection", flat=True))
        return [finding for finding in findings if finding.key not in used]

    def confirm(self, findings: Sequence[Finding]) -> list[Finding]:
        there = set(get_store().collections())
        return [one for one in self._unused(findings) if one.key in there]

    def repair(self, findings: Sequence[Finding]) -> int:
        VectorCleanup.objects.bulk_create(VectorCleanup(collection=one.key) for one in findings)
        cleanup.forget_vectors()
        return len(findings)


class WrongDimensions(Check):
    kind = "dimension_wrong"
    title = "Collections of another dimension than their index"
    counted = "indexes"
    repairs = "The collection is dropped, and workers fill it anew from the originals."

    def step(self, scope: AuditScope, after: Any) -> AuditStep:
        index = _next_index(scope, LIVE_INDEXES, after or 0)
        if index is None:
            return AuditStep()
        dimension = get_store().dimension(index.collection)
        findings = []
        if dimension is not None and dimension != index.dimension:
            detail = (
                f"Its collection holds vectors of {dimension} dimensions, not {index.dimension}."
            )
            findings.append(Finding(f"index {index.pk}", detail, index.pk, index.dataset.slug))
        return AuditStep(findings, 1, index.pk + 1)

    def repair(self, findings: Sequence[Finding]) -> int:
        for index in Index.objects.filter(pk__in=[one.key for one in findings]):
            VectorCleanup.objects.create(collection=index.collection)
            last = Image.objects.filter(dataset=index.dataset_id).order_by("-pk").first()
            if last is not None and index.state != IndexState.BUILDING:
                IndexChunk.objects.create(index=index, first=0, last=last.pk)
            elif last is not None:
                Index.objects.filter(pk=index.pk).update(cursor=0)
        cleanup.forget_vectors()
        lifecycle.call_workers()
        return len(findings)
