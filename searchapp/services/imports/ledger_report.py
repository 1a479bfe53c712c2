"""Who may see an import, and its ledger as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet

from searchapp.models import Dataset, ImportJob, Membership, Role

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_PAGE = 2000
COLUMNS = (
    "position", "name", "outcome", "code", "sentence", "duplicate", "attempts", "milliseconds",
    "image", "label", "title",
)  # fmt: skip
# Spreadsheets read cells that begin with these as formulas.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def jobs_visible_to(user: User | AnonymousUser) -> QuerySet[ImportJob]:
    """Return the user's own imports, and those of datasets that they may edit; superusers see
    all."""
    # A join would make SQLite start from the datasets and sort all of their jobs.
    there = ImportJob.objects.exclude(dataset__in=Dataset.objects.exclude(deleted=None))
    if not user.is_authenticated:
        return there.none()
    if user.is_superuser:
        return there
    edited = Membership.objects.filter(user_id=user.pk, role__in=(Role.EDITOR, Role.OWNER))
    datasets = Dataset.objects.filter(Q(owner_id=user.pk) | Q(pk__in=edited.values("dataset")))
    return there.filter(Q(user_id=user.pk) | Q(dataset__in=datasets))


def may_see(job: ImportJob, user: User | AnonymousUser) -> bool:
    """Whether `user` may see the job and its ledger."""
    return jobs_visible_to(user).filter(pk=job.pk).exists()


def may_control(job: ImportJob, user: User | AnonymousUser) -> bool:
    """Whether `user` may pause, cancel and retry the job, which needs the right to change the
    dataset's images now. Users who have lost that right may still see what they sent."""
    return job.dataset.deleted is None and job.dataset.may_edit(user)


def ledger_csv(job: ImportJob) -> Iterator[str]:
    """Yield the ledger as CSV in pieces: a line for each file, then one for each source that could
    not be read. Little of it is in memory at any time."""
    yield _lines([COLUMNS])
    last = -1
    while True:
        rows = list(job.items.filter(position__gt=last).order_by("position")[:_PAGE])
        if not rows:
            break
        last = rows[-1].position
        yield _lines(
            (
                row.position + 1, row.name, row.state, row.error_code, row.error_detail,
                "yes" if row.duplicate else "", row.attempts or "",
                "" if row.duration is None else row.duration, row.image_id or "",
                row.given.get("label", ""), row.given.get("title", ""),
            )
            for row in rows
        )  # fmt: skip
    broken = job.sources.exclude(error_code="")
    yield _lines(
        ("", source.name, "not read", source.error_code, source.error_detail, *[""] * 6)
        for source in broken
    )


def _lines(rows: Any) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([_safe(cell) for cell in row] for row in rows)
    return text.getvalue()


def _safe(cell: object) -> object:
    if isinstance(cell, str) and cell.startswith(_FORMULA):
        return f"'{cell}"
    return cell
