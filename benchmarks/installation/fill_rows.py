"""Fill a gallery and a ledger with rows: `python -m benchmarks.installation.fill_rows SLUG NUMBER`.

Pages of a gallery or a ledger read rows and open no file. Runs in the environment of a running
installation. Prints, as JSON, the id of the job and the id of an image in the middle.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.installation.fill_images import filled_row

if TYPE_CHECKING:
    from searchapp.models import Dataset

_AT_ONCE = 2000
_OTHER_JOBS = 400
# One file in a hundred is bad, and one in a hundred failed.
_BAD = {50: ("rejected", "corrupt", "The file is damaged."),
        51: ("failed", "internal_error", "The worker failed; its log says why.")}  # fmt: skip


def fill(slug: str, number: int) -> dict[str, Any]:
    from django.contrib.auth import get_user_model
    from django.db.models import Count
    from django.utils import timezone

    from searchapp.models import ImportItem, ImportJob, JobState
    from searchapp.services.datasets.dataset_service import create_dataset

    owner = get_user_model().objects.get(username="admin")
    dataset = create_dataset(name=slug, slug=slug, owner=owner, visibility="private")
    finished: dict[str, Any] = {"state": JobState.FINISHED_WITH_ERRORS, "ended": timezone.now()}
    job = ImportJob.objects.create(
        dataset=dataset, user=owner, name="rows", total=number, seconds=4000, **finished
    )
    for start in range(0, number, _AT_ONCE):
        images = _images(dataset, range(start, min(start + _AT_ONCE, number)))
        ImportItem.objects.bulk_create(
            ImportItem(
                job=job, position=start + place, name=f"folder/{image.name}", image=image,
                state=image.state, error_code=image.error_code, error_detail=image.error_detail,
                attempts=1, duration=20,
            )
            for place, image in enumerate(images)
        )  # fmt: skip
    counted = job.items.order_by().values_list("state").annotate(number=Count("pk"))
    ImportJob.objects.filter(pk=job.pk).update(counts=dict(counted))
    ImportJob.objects.bulk_create(
        ImportJob(
            dataset=dataset, user=owner, name=f"import {place}", total=100,
            counts={"ready": 100}, **(finished | {"state": JobState.FINISHED}),
        )
        for place in range(_OTHER_JOBS)
    )  # fmt: skip
    middle = dataset.images.order_by("pk").values_list("pk", flat=True)[number // 2]
    return {"job": str(job.pk), "middle": middle}


def _images(dataset: Dataset, places: range) -> list[Any]:
    from searchapp.models import Image

    rows = []
    for place in places:
        image = filled_row(dataset, place)
        image.label = f"label {place % 20}"
        if place % 100 in _BAD:
            image.state, image.error_code, image.error_detail = _BAD[place % 100]
        rows.append(image)
    return Image.objects.bulk_create(rows)


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "searchapp.settings.main")
    django.setup()
    print(json.dumps(fill(sys.argv[1], int(sys.argv[2]))))


if __name__ == "__main__":
    main()
