"""Claims, leases and outcomes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest
from django.utils import timezone

from searchapp.models import Dataset, Image, ImageState, ImportItem, ImportJob
from searchapp.services.imports import job_progress
from searchapp.services.ingest import claims
from searchapp.services.ingest.claims import Bad

Images = Callable[[int], list[Image]]


def _expire() -> None:
    """As if the worker had died and its lease had run out."""
    Image.objects.filter(state=ImageState.PROCESSING).update(
        lease_until=timezone.now() - timedelta(seconds=1)
    )


def test_nothing_is_claimed_twice(images: Images) -> None:
    rows = images(5)
    first, second = claims.claim(3), claims.claim(3)
    assert [image.pk for image in first + second] == [image.pk for image in rows]
    assert claims.claim(3) == []


def test_a_living_batch_is_not_freed(images: Images) -> None:
    images(2)
    claims.claim(2)
    assert claims.free_expired() == 0


def test_renewing_prolongs_the_lease(images: Images) -> None:
    images(1)
    batch = claims.claim(1)
    _expire()
    claims.renew(batch)
    assert claims.free_expired() == 0


def test_what_died_as_a_batch_is_tried_one_by_one(images: Images) -> None:
    images(3)
    claims.claim(3)
    _expire()
    assert claims.free_expired() == 3
    fresh = images_after(3)
    assert [image.pk for image in claims.claim(10)] == [image.pk for image in fresh]
    assert len(claims.claim(10)) == 1


def images_after(number: int) -> list[Image]:
    dataset = Image.objects.first().dataset  # type: ignore[union-attr]
    return Image.objects.bulk_create(
        Image(dataset=dataset, content_key=f"new{n}", sha256=f"{n:064x}", name="n", bytes=1)
        for n in range(number)
    )


def test_a_file_that_keeps_killing_its_worker_fails_with_a_reason(images: Images) -> None:
    image = images(1)[0]
    for _ in range(claims.MAX_ATTEMPTS):
        assert len(claims.claim(10)) == 1
        _expire()
        claims.free_expired()
    image.refresh_from_db()
    assert (image.state, image.error_code) == (ImageState.FAILED, "worker_died")
    assert claims.claim(10) == []
    assert claims.retry([image]) == 1
    assert [again.pk for again in claims.claim(10)] == [image.pk]


def test_waiting_for_a_service_is_no_attempt(images: Images) -> None:
    images(2)
    for _ in range(claims.MAX_ATTEMPTS + 2):
        claims.release(claims.claim(2))
        assert claims.claim(2) == []  # not at once
        Image.objects.update(lease_until=None)
    assert len(claims.claim(2)) == 2


def test_who_was_given_up_cannot_overwrite_its_successor(images: Images) -> None:
    images(1)
    late = claims.claim(1)
    _expire()
    claims.free_expired()
    current = claims.claim(1)
    claims.end([Bad(late[0], ImageState.REJECTED, "corrupt", "Late.")])
    assert Image.objects.get().state == ImageState.PROCESSING
    item = ImportItem.objects.create(
        job=ImportJob.objects.create(dataset=late[0].dataset, total=1),
        position=0,
        name="a",
        image=late[0],
        state=ImageState.PROCESSING,
    )
    assert claims.finish(late, []) == []
    assert Image.objects.get().state == ImageState.PROCESSING
    item.refresh_from_db()
    assert item.state == ImageState.PROCESSING
    claims.finish(current, [])
    assert Image.objects.get().state == ImageState.READY


def test_finishing_tells_what_was_deleted_meanwhile(images: Images) -> None:
    images(2)
    batch = claims.claim(2)
    gone = batch[0].pk
    Image.objects.filter(pk=gone).delete()
    assert claims.finish(batch, []) == [gone]
    assert Image.objects.get().state == ImageState.READY


@pytest.mark.parametrize("state", [ImageState.REJECTED, ImageState.FAILED])
def test_items_follow_their_images_and_end_their_job(
    images: Images,
    state: ImageState,
    django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[object]],
) -> None:
    rows = images(2)
    job = ImportJob.objects.create(dataset=rows[0].dataset, total=2)
    for position, image in enumerate(rows):
        ImportItem.objects.create(
            job=job, position=position, name=image.name, image=image, state=image.state
        )
    assert job_progress.progress(job).state == "queued"
    good, bad = claims.claim(2)
    with django_capture_on_commit_callbacks(execute=True):
        claims.finish([good], [])
    job.refresh_from_db()
    assert (job.state, job_progress.progress(job).waiting) == ("running", 1)
    bad.duration = 12
    with django_capture_on_commit_callbacks(execute=True):
        claims.end([Bad(bad, state, "some_code", "Some reason.")])
    job.refresh_from_db()
    progress = job_progress.progress(job)
    assert (progress.state, progress.ready, progress.waiting) == ("finished_with_errors", 1, 0)
    item = job.items.get(image=bad)
    assert (item.state, item.error_code, item.error_detail) == (state, "some_code", "Some reason.")
    assert (item.attempts, item.duration) == (1, 12)
    # A second try of what failed opens the job again.
    assert claims.retry([bad]) == (state == ImageState.FAILED)
    job.refresh_from_db()
    assert job.state == ("running" if state == ImageState.FAILED else "finished_with_errors")


def test_imports_are_served_side_by_side(dataset: Dataset) -> None:
    def waiting(name: str, number: int, turn: int) -> None:
        Image.objects.bulk_create(
            Image(
                dataset=dataset,
                content_key=f"{name}{n}",
                sha256=f"{n:064x}",
                name=name,
                bytes=1,
                turn=turn + n,
            )
            for n in range(number)
        )

    waiting("large", 40, claims.turn_now())
    assert {image.name for image in claims.claim(10)} == {"large"}
    waiting("small", 10, claims.turn_now())
    served = [image.name for image in claims.claim(20)]
    assert (served.count("large"), served.count("small")) == (10, 10)
