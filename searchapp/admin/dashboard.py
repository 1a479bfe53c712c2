"""The dashboard: counts, running work, workers, queues and disk.

It is fast with a million rows: counts are cached for a while, and the number of images per day is
derived from their keys.
"""

from __future__ import annotations

import json
import shutil
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.models import Count, Max, Min
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from searchapp.models import ACTIVE_JOBS, Dataset, FailedTask, Image, ImageState, ImportJob
from searchapp.pages.responses import megabytes
from searchapp.services.imports import job_progress
from searchapp.services.operations import worker_health

DAYS = 14
_COUNTED_FOR = 30  # seconds
_SHOWN_JOBS = 5


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add to the context of the admin index page."""
    may = request.user.has_perm  # names are for those who may list what they name
    now = worker_health.snapshot()
    numbers: dict[str, int] = cache.get_or_set("admin-states", _by_state, _COUNTED_FOR) or {}
    total = sum(numbers.values())
    images = reverse("admin:searchapp_image_changelist")
    context.update(
        total=total,
        datasets=Dataset.objects.filter(deleted=None).count(),
        states=[
            {
                "name": state.label,
                "number": numbers.get(state, 0),
                "percent": round(100 * numbers.get(state, 0) / total, 1) if total else 0,
                "link": f"{images}?state__exact={state}",
            }
            for state in ImageState
        ],
        days=_chart(),
        now=now,
        workers=_workers(now),
        queues=_queues(now),
        running=_running() if may("searchapp.view_importjob") else [],
        failed_tasks=FailedTask.objects.filter(again=None).count(),
        latest_failures=(
            FailedTask.objects.filter(again=None)[:5] if may("searchapp.view_failedtask") else []
        ),
        disk=_disk(),
    )
    return context


def _by_state() -> dict[str, int]:
    rows = Image.objects.order_by().values_list("state").annotate(number=Count("pk"))
    return dict(rows)


def _chart() -> str:
    today = timezone.now().date()
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    received = _received(datetime.combine(days[0], time.min, timezone.get_default_timezone()))
    return json.dumps(
        {
            "labels": [f"{day:%d %b}" for day in days],
            "datasets": [
                {
                    "label": "Received",
                    "data": received,
                    "backgroundColor": "var(--color-primary-600)",
                    "barThickness": 16,
                }
            ],
        }
    )


def _received(first: datetime) -> list[int]:
    """Return the number of images received on each day from `first` on, including deleted ones.

    Keys are assigned in order of arrival. So a few queries find where a day begins, regardless of
    the size of the table.
    """
    ends = Image.objects.aggregate(oldest=Min("pk"), newest=Max("pk"))
    oldest, newest = ends["oldest"] or 1, ends["newest"] or 0
    begins = [_first_key(first + timedelta(days=day), oldest, newest) for day in range(DAYS)]
    return [after - before for before, after in zip(begins, [*begins[1:], newest + 1], strict=True)]


def _first_key(moment: datetime, oldest: int, newest: int) -> int:
    """Return the key of the first image since `moment`, or the key it would have had."""
    known: int | None = cache.get(key := f"admin-day-{moment:%Y-%m-%d}")
    if known is not None and oldest <= known <= newest:
        return known
    low, high = oldest, newest + 1
    while low < high:
        middle = (low + high) // 2
        row = Image.objects.filter(pk__gte=middle).order_by("pk").values_list("pk", "created")
        first = row.first()
        if first is None or first[1] >= moment:
            high = middle
        else:
            low = first[0] + 1
    if low <= newest:  # the day has images, so its first key is final
        cache.set(key, low, 3600)
    return low


def _running() -> list[dict[str, Any]]:
    jobs = list(
        ImportJob.objects.filter(state__in=ACTIVE_JOBS)
        .select_related("dataset")
        .order_by("-created")[:_SHOWN_JOBS]
    )
    progress = job_progress.progress_of(jobs)
    return [
        {
            "job": job,
            "progress": progress[job.pk],
            "percent": round(100 * progress[job.pk].settled / max(1, progress[job.pk].total)),
        }
        for job in jobs
    ]


def _workers(now: worker_health.Snapshot) -> dict[str, Any]:
    return {
        "headers": ["Worker", "Queue", "Last sign of life"],
        "rows": [
            [worker.name, pool.name, f"{worker.seconds:.0f} s ago"]
            for pool in now.pools
            for worker in pool.workers
        ],
    }


def _queues(now: worker_health.Snapshot) -> dict[str, Any]:
    rows = [[pool.name, f"{pool.tasks:,}"] for pool in now.pools]
    if now.redis:
        rows.append(["maintenance", f"{now.maintenance:,}"])
    rows += [["images that wait for a worker", _upto(now.images)]]
    rows += [["files of imports still to be read", _upto(now.files)]]
    return {"headers": ["Waiting in", "Number"], "rows": rows}


def _upto(number: int) -> str:
    more = number >= worker_health.MAX_COUNTED
    return f"{'more than ' if more else ''}{number:,}"


def _disk() -> list[dict[str, Any]]:
    used = shutil.disk_usage(settings.DATA_DIR)
    database = _database_bytes()
    return [
        {
            "name": "Disk of the data folder",
            "percent": round(100 * (used.total - used.free) / used.total),
            "said": f"{used.free / 1e9:,.1f} GB of {used.total / 1e9:,.0f} GB are free",
        },
        {"name": "Database", "percent": None, "said": megabytes(database)},
    ]


def _database_bytes() -> int:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_database_size(current_database())")
            return int(cursor.fetchone()[0])
    path = str(connection.settings_dict["NAME"])
    files = (Path(path), Path(f"{path}-wal"))
    return sum(file.stat().st_size for file in files if file.is_file())
