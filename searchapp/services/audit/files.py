"""Audit of files: originals and thumbnails that are missing, damaged or unused.

Files and rows are walked through by the first two digits of their hashes: neither all files nor all
rows are ever in memory.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any

import numpy as np
from django.db.models import Q, QuerySet
from django.utils import timezone
from numpy.typing import NDArray

from searchapp.infra import queue, storage
from searchapp.infra.upload_handler import CHUNK
from searchapp.models import (
    ENDED_JOBS,
    PENDING_STATES,
    Image,
    ImageState,
    ImportSource,
    Query,
)
from searchapp.services.audit.base import AuditScope, AuditStep, Check, Finding
from searchapp.services.operations import cleanup

LOOK_AGAIN = "indexing.look_again"
_HELD = (*PENDING_STATES, ImageState.READY)  # states in which an image needs its original
_YOUNG_SECONDS = 3600.0  # younger files may be about to be used
_KEPT_AFTER = timedelta(days=1)  # an ended import may still be retried
_AT_ONCE = 100
_USERS_NAMED = 5
_NAME = re.compile(r"(?P<key>[0-9a-f]{64})(-\d+\.webp|\.webp|\.features)?")


def _prefix_behind(images: QuerySet[Image], after: str) -> str | None:
    """Return the first two digits of the next hash behind those that begin with `after`."""
    ahead = images.filter(sha256__gte=after + "g" if after else "").order_by("sha256")
    next_hash = ahead.values_list("sha256", flat=True).first()
    return None if next_hash is None else next_hash[:2]


def _of_prefix(images: QuerySet[Image], prefix: str) -> QuerySet[Image]:
    return images.filter(sha256__gte=prefix, sha256__lt=prefix + "g").order_by()


def _scoped(images: QuerySet[Image], scope: AuditScope) -> QuerySet[Image]:
    return images if scope.dataset is None else images.filter(dataset=scope.dataset)


def key_of(name: str) -> str:
    """Return the hash that a stored file is named by; empty for a draft."""
    match = _NAME.fullmatch(name.rpartition("/")[2])
    return match["key"] if match else ""


class MissingOriginals(Check):
    kind = "originals_missing"
    title = "Pictures whose original is missing"
    counted = "pictures"
    advice = "Bring the files back from a backup, or delete the pictures."

    def step(self, scope: AuditScope, after: Any) -> AuditStep:
        rows = _scoped(Image.objects.filter(state__in=_HELD, reference=""), scope)
        prefix = _prefix_behind(rows, after or "")
        if prefix is None:
            return AuditStep()
        images = list(_of_prefix(rows, prefix).values_list("pk", "sha256", "name", "dataset__slug"))
        there = {key_of(name) for name in storage.stored("originals", prefix)}
        findings = [
            Finding(f"picture {pk}", f"The original of ‘{name}’ is not stored.", (pk, sha256), slug)
            for pk, sha256, name, slug in images
            if sha256 not in there
        ]
        return AuditStep(findings, len(images), prefix)

    def confirm(self, findings: Sequence[Finding]) -> list[Finding]:
        still = set(
            Image.objects.filter(
                pk__in=[one.key[0] for one in findings], state__in=_HELD
            ).values_list("pk", flat=True)
        )
        return [
            one for one in findings if one.key[0] in still and not storage.has_original(one.key[1])
        ]


class BrokenChecksums(Check):
    kind = "checksums_broken"
    title = "Originals whose bytes are not those that came"
    counted = "originals"
    advice = "Bring the files back from a backup, or delete the pictures."
    deep_only = True

    def step(self, scope: AuditScope, after: Any) -> AuditStep:
        rows = _scoped(Image.objects.filter(state__in=_HELD, reference=""), scope)
        ahead = rows.filter(sha256__gt=after or "").order_by("sha256")
        hashes = list(ahead.values_list("sha256", flat=True).distinct()[:20])
        findings = [
            Finding(f"original {sha256}", _whose(rows, sha256), sha256)
            for sha256 in hashes
            if _is_broken(sha256)
        ]
        return AuditStep(findings, len(hashes), hashes[-1] if hashes else None)

    def confirm(self, findings: Sequence[Finding]) -> list[Finding]:
        return [one for one in findings if _is_broken(one.key)]


def _whose(rows: QuerySet[Image], sha256: str) -> str:
    """Return which images are affected, for a person to look for."""
    images = rows.filter(sha256=sha256).order_by("pk").values_list("pk", "dataset__slug")
    users = ", ".join(f"{pk} in {slug}" for pk, slug in images[:_USERS_NAMED])
    return f"Its bytes have another checksum. It is that of picture {users}."


def _is_broken(sha256: str) -> bool:
    digest = hashlib.sha256()
    try:
        with storage.open_original(sha256) as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except FileNotFoundError:
        return False  # reported by another check
    except OSError:
        return True
    return digest.hexdigest() != sha256


class MissingThumbnails(Check):
    """First the images that are whole files, by prefix; then boxes, by key, whose thumbnails are
    named by another hash."""

    kind = "thumbnails_missing"
    title = "Ready pictures without thumbnails"
    counted = "pictures"
    repairs = "Workers make them again from the originals."

    def step(self, scope: AuditScope, after: Any) -> AuditStep:
        ready = _scoped(Image.objects.filter(state=ImageState.READY), scope)
        if isinstance(after, int):
            return self._boxes(ready, after)
        whole = ready.filter(box__isnull=True)
        prefix = _prefix_behind(whole, after or "")
        if prefix is None:
            return AuditStep(after=0)
        rows = list(_of_prefix(whole, prefix).values_list("pk", "sha256", "dataset__slug"))
        names = set(storage.stored("thumbnails", prefix))
        sides = storage.THUMBNAIL_SIDES
        findings = [
            _no_thumbnail(pk, sha256, slug)
            for pk, sha256, slug in rows
            if any(storage.thumbnail_name(sha256, side) not in names for side in sides)
        ]
        return AuditStep(findings, len(rows), prefix)

    def _boxes(self, ready: QuerySet[Image], after: int) -> AuditStep:
        rows = ready.filter(pk__gt=after).filter(box__isnull=False).order_by("pk")
        images = list(rows.select_related("dataset")[:_AT_ONCE])
        findings = [
            _no_thumbnail(image.pk, image.thumbnail_key, image.dataset.slug)
            for image in images
            if not storage.has_thumbnails(image.thumbnail_key)
        ]
        return AuditStep(findings, len(images), images[-1].pk if images else None)

    def confirm(self, findings: Sequence[Finding]) -> list[Finding]:
        still = set(
            Image.objects.filter(
                pk__in=[one.key[0] for one in findings], state=ImageState.READY
            ).values_list("pk", flat=True)
        )
        return [
            one
            for one in findings
            if one.key[0] in still and not storage.has_thumbnails(one.key[1])
        ]

    def repair(self, findings: Sequence[Finding]) -> int:
        return look_again([one.key[0] for one in findings])


def _no_thumbnail(pk: int, key: str, slug: str) -> Finding:
    return Finding(f"picture {pk}", "A thumbnail of it is missing.", (pk, key), slug)


def look_again(keys: Sequence[int]) -> int:
    """Let workers process these images again; returns how many."""
    for start in range(0, len(keys), _AT_ONCE):
        try:
            queue.send(LOOK_AGAIN, images=list(keys[start : start + _AT_ONCE]))
        except queue.QueueUnavailable:
            return start
    return len(keys)


class UnusedFiles(Check):
    kind = "files_unused"
    title = "Files that nothing uses"
    counted = "files"
    repairs = "They are removed."
    whole_only = True
    _KINDS = ("originals", "thumbnails", "features", "queries", "imports")

    def step(self, scope: AuditScope, after: Any) -> AuditStep:
        kind, past = after or (self._KINDS[0], "")
        prefix = next((one for one in storage.prefixes(kind) if one > past), None)
        if prefix is None:
            place = self._KINDS.index(kind) + 1
            return AuditStep(after=(self._KINDS[place], "") if place < len(self._KINDS) else None)
        names = list(storage.stored(kind, prefix))
        findings = [
            Finding(name, "Nothing in the database leads to this file.", name)
            for name in self._unused(kind, names)
            if (age := storage.age_of(name)) is not None and age > _YOUNG_SECONDS
        ]
        return AuditStep(findings, len(names), (kind, prefix))

    def _unused(self, kind: str, names: Sequence[str]) -> list[str]:
        """Return those of these files, of one prefix, that are unused now."""
        if not names:
            return []
        keys = {key_of(name) for name in names} - {""}
        used = getattr(self, f"_used_{kind}")(keys)
        return [name for name in names if key_of(name) not in used]

    def _used_originals(self, keys: set[str]) -> set[str]:
        return _known(Image.objects.all(), keys)

    def _used_thumbnails(self, keys: set[str]) -> set[str]:
        used = _known(Image.objects.filter(box__isnull=True), keys)
        return used | {key for key in keys - used if self._is_of_a_box(key)}

    _used_features = _used_thumbnails

    def _is_of_a_box(self, key: str) -> bool:
        number = _number(key)
        place = int(np.searchsorted(self._boxes, number))
        return place < len(self._boxes) and int(self._boxes[place]) == number

    @cached_property
    def _boxes(self) -> NDArray[np.int64]:
        """Return the keys of the thumbnails of all boxes, shortened to 60 bits, ascending."""
        rows = Image.objects.filter(box__isnull=False).only("sha256", "box").order_by()
        keys = (_number(image.thumbnail_key) for image in rows.iterator(chunk_size=2000))
        return np.sort(np.fromiter(keys, np.int64))

    def _used_queries(self, keys: set[str]) -> set[str]:
        rows = Query.objects.filter(sha256__in=keys)
        return set(rows.values_list("sha256", flat=True))

    def _used_imports(self, keys: set[str]) -> set[str]:
        """Return files of imports that are active, or may be retried."""
        lately = timezone.now() - _KEPT_AFTER
        going = ~Q(job__state__in=ENDED_JOBS) | Q(job__ended__gte=lately)
        locations = ImportSource.objects.filter(
            going, location__in=[f"kept:{key}" for key in keys]
        ).values_list("location", flat=True)
        return {location.partition(":")[2] for location in locations}

    def confirm(self, findings: Sequence[Finding]) -> list[Finding]:
        self.__dict__.pop("_boxes", None)  # boxes may have been added since
        names = [one.key for one in findings]
        still = set(self._unused(names[0].partition("/")[0], names)) if names else set()
        return [one for one in findings if one.key in still and storage.age_of(one.key) is not None]

    def repair(self, findings: Sequence[Finding]) -> int:
        for one in findings:
            kind, key = one.key.partition("/")[0], key_of(one.key)
            if kind == "originals" and key:
                # Checks again, under the same lock as storing.
                cleanup.after_deletion([cleanup.Files(key, key)])
            elif kind == "queries" and key:
                cleanup.discard_query("", key)
            else:
                storage.delete_stored(one.key)
        return len(findings)


def _known(images: QuerySet[Image], keys: set[str]) -> set[str]:
    known: set[str] = set()
    for some in _batches(sorted(keys), 500):
        rows = images.filter(sha256__in=some).order_by()
        known |= set(rows.values_list("sha256", flat=True))
    return known


def _batches(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _number(key: str) -> int:
    return int(key[:15], 16)
