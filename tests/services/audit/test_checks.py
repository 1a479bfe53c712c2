"""Each kind of fault: broken by hand, found, repaired where it can be, and then clean."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone

from searchapp.infra import storage
from searchapp.infra.vectors.store import VectorStore
from searchapp.models import (
    AuditReport,
    Dataset,
    Image,
    ImageState,
    ImportItem,
    ImportJob,
    Index,
    IndexChunk,
    ItemState,
    JobState,
    VectorCleanup,
)
from searchapp.services import audit, filters
from searchapp.services.audit import files, runner
from searchapp.services.datasets import dataset_deletion, dataset_service
from searchapp.services.datasets.dataset_service import create_dataset
from searchapp.services.filters import scalar_sync
from searchapp.services.filters.expressions import expression
from tests.services.indexes.conftest import held
from worker.tasks.indexes import advance, look_again

Add = Callable[..., list[Image]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_PAUSE_SECONDS", 0.0)


def found(**options: Any) -> dict[str, int]:
    """Run an audit; return what it found by kind, without what it did not."""
    report = audit.run(audit.start(here=True, **options))
    assert report.error_detail == ""
    assert report.ended is not None
    return {kind: one["found"] for kind, one in report.counts.items() if one["found"]}


def original(image: Image) -> str:
    return f"originals/{image.sha256[:2]}/{image.sha256[2:4]}/{image.sha256}"


def make_old(name: str) -> None:
    long_ago = time.time() - 2 * 3600
    os.utime(default_storage.path(name), (long_ago, long_ago))


def test_what_is_whole_is_clean(add: Add) -> None:
    add(3)
    assert found(deep=True) == {}


def test_an_empty_installation_is_clean(store: VectorStore, db: None) -> None:
    assert found() == {}


def test_missing_vectors_are_embedded_again_while_their_pictures_stay_ready(
    dataset: Dataset, add: Add, store: VectorStore
) -> None:
    images = add(4)
    index = dataset.active_index
    store.delete(index.collection, [images[1].pk, images[2].pk])
    assert found() == {"vectors_missing": 2}
    report = audit.run(audit.start(here=True, repair=True))
    assert (report.counts["vectors_missing"]["repaired"], report.left) == (2, 0)
    assert set(Image.objects.values_list("state", flat=True)) == {ImageState.READY}
    assert found() == {}  # what is in workers' hands is not reported again
    advance()
    assert held(index) == [image.pk for image in images]
    assert found() == {}


def test_a_lost_collection_is_filled_again(dataset: Dataset, add: Add, store: VectorStore) -> None:
    images = add(3)
    store.drop(dataset.active_index.collection)
    assert found(repair=True) == {"vectors_missing": 3}
    advance()
    assert held(dataset.active_index) == [image.pk for image in images]


def test_orphaned_vectors_are_deleted(dataset: Dataset, add: Add, store: VectorStore) -> None:
    (image,) = add(1)
    index = dataset.active_index
    store.upsert(index.collection, [10**6], np.ones((1, index.dimension), np.float32))
    assert found(repair=True) == {"vectors_orphaned": 1}
    assert held(index) == [image.pk]
    assert found() == {}


def test_vectors_on_the_list_to_be_forgotten_are_no_finding(dataset: Dataset, add: Add) -> None:
    image, _ = add(2)
    index = dataset.active_index
    VectorCleanup.objects.create(collection=index.collection, image_id=image.pk)
    image.delete()
    found_now = found()
    assert "vectors_orphaned" not in found_now


def test_orphaned_collections_are_dropped_and_others_left_alone(
    dataset: Dataset, add: Add, store: VectorStore
) -> None:
    add(1)
    store.ensure_collection("lookalike_999_abcdef012345", 4)
    store.ensure_collection("somebody_elses", 4)
    assert found(repair=True) == {"collections_orphaned": 1}
    assert store.collections() == [dataset.active_index.collection, "somebody_elses"]


def test_a_wrong_fingerprint_is_told_and_stays(dataset: Dataset, add: Add) -> None:
    Index.objects.filter(pk=dataset.active_index.pk).update(fingerprint="0" * 64)
    assert found(repair=True) == {"fingerprint_wrong": 1}
    assert found() == {"fingerprint_wrong": 1}


def test_a_collection_of_a_wrong_dimension_is_made_anew(
    dataset: Dataset, add: Add, store: VectorStore
) -> None:
    images = add(2, vectors=False)
    index = dataset.active_index
    store.ensure_collection(index.collection, 7)
    store.upsert(index.collection, [one.pk for one in images], np.ones((2, 7), np.float32))
    assert found(repair=True) == {"dimension_wrong": 1}
    advance()
    assert store.dimension(index.collection) == index.dimension
    assert found() == {}


def test_missing_and_broken_originals_stay_until_somebody_brings_them(
    dataset: Dataset, add: Add
) -> None:
    gone, broken, _ = add(3)
    default_storage.delete(original(gone))
    with default_storage.open(original(broken), "wb") as file:
        file.write(b"rotten")
    assert found(repair=True) == {"originals_missing": 1}
    assert found(deep=True) == {"originals_missing": 1, "checksums_broken": 1}
    details = [one["detail"] for one in AuditReport.objects.latest("pk").findings]
    assert f"picture {broken.pk} in {dataset.slug}" in details[-1]


def test_references_need_no_original(dataset: Dataset, add: Add) -> None:
    (image,) = add(1)
    Image.objects.update(reference="file:///elsewhere")
    default_storage.delete(original(image))
    assert found(deep=True) == {}


def test_thumbnails_and_facts_are_made_again(
    dataset: Dataset, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, bare = add(2)
    boxed = Image.objects.create(
        dataset=dataset, content_key="box", sha256=whole.sha256, box=[1, 1, 20, 20], bytes=1,
        state=ImageState.READY, width=20, height=20, format="png",
    )  # fmt: skip
    storage.delete_thumbnails(whole.sha256)
    Image.objects.filter(pk=bare.pk).update(width=None)
    monkeypatch.setattr("searchapp.infra.queue.send", lambda task, **kwargs: look_again(**kwargs))
    expected = {"thumbnails_missing": 2, "facts_missing": 1, "vectors_missing": 1}
    assert found(repair=True) == expected
    bare.refresh_from_db()
    assert bare.width == 48
    assert all(storage.has_thumbnails(one.thumbnail_key) for one in (whole, boxed))
    advance()
    assert found() == {}


def test_while_redis_is_down_thumbnails_stay_missing(dataset: Dataset, add: Add) -> None:
    (image,) = add(1)
    storage.delete_thumbnails(image.sha256)
    report = audit.run(audit.start(here=True, repair=True))
    assert report.left == 1


def test_files_that_nothing_uses_are_removed_once_they_are_old(dataset: Dataset, add: Add) -> None:
    (image,) = add(1)
    boxed = Image.objects.create(
        dataset=dataset, content_key="box", sha256=image.sha256, box=[1, 1, 20, 20], bytes=1,
        state=ImageState.READY, width=20, height=20, format="png",
    )  # fmt: skip
    for side in storage.THUMBNAIL_SIDES:
        storage.put_thumbnail(boxed.thumbnail_key, side, b"RIFF")
    key = "ab" * 32
    strays = [
        f"originals/ab/ab/{key}", f"thumbnails/cd/cd/{'cd' * 32}-256.webp", f"queries/ab/ab/{key}",
        f"imports/ab/ab/{key}", "originals/ab/ab/.0123456789abcdef",
    ]  # fmt: skip
    for name in strays:
        default_storage.save(name, ContentFile(b"x"))
    used = [original(image), storage.thumbnail_name(boxed.thumbnail_key, 256)]
    for name in used:
        make_old(name)
    expected = {"vectors_missing": 1}  # of the box, which has none here
    assert found() == expected
    for name in strays:
        make_old(name)
    assert found(repair=True) == expected | {"files_unused": 5}
    assert not any(default_storage.exists(name) for name in strays)
    assert all(default_storage.exists(name) for name in used)


def test_stale_rows_are_settled(dataset: Dataset, add: Add) -> None:
    (image,) = add(1)
    job = ImportJob.objects.create(dataset=dataset, total=2, state=JobState.RUNNING)
    for position, one in enumerate([image, None]):
        ImportItem.objects.create(
            job=job, position=position, name="a", image=one, state=ItemState.RECEIVED
        )
    idle = ImportJob.objects.create(dataset=dataset, state=JobState.RUNNING)
    ImportJob.objects.filter(pk=idle.pk).update(created=timezone.now() - timedelta(hours=1))
    assert found(repair=True) == {"items_stale": 2, "jobs_stale": 1}
    assert [item.state for item in job.items.order_by("position")] == ["ready", "rejected"]
    idle.refresh_from_db()
    assert idle.state == JobState.FINISHED
    assert found() == {}


def test_pictures_of_dead_workers_are_freed(dataset: Dataset, add: Add) -> None:
    stuck, waiting = add(2)
    late = timezone.now() - timedelta(hours=1)
    Image.objects.filter(pk=stuck.pk).update(
        state=ImageState.PROCESSING, claim="x", lease_until=late
    )
    Image.objects.filter(pk=waiting.pk).update(
        state=ImageState.PROCESSING, claim="y", lease_until=timezone.now() + timedelta(seconds=9)
    )
    assert found(repair=True) == {"images_stuck": 1}
    stuck.refresh_from_db()
    assert stuck.state == ImageState.RECEIVED


def test_one_dataset_is_looked_at_alone(dataset: Dataset, add: Add, store: VectorStore) -> None:
    (image,) = add(1)
    store.delete(dataset.active_index.collection, [image.pk])
    other = create_dataset(name="Other", owner=dataset.owner)
    assert found(dataset=other) == {}
    assert found(dataset=dataset) == {"vectors_missing": 1}


def test_a_dataset_that_is_renamed_or_deleted_meanwhile_never_stands_for_all_of_them(
    dataset: Dataset, add: Add, store: VectorStore
) -> None:
    (image,) = add(1)
    store.delete(dataset.active_index.collection, [image.pk])
    other = create_dataset(name="Other", owner=dataset.owner)
    renamed = audit.start(here=True, dataset=other)
    dataset_service.change_dataset(other, slug="another")
    assert audit.run(renamed).left == 0
    assert audit.run(audit.start(here=True, dataset=dataset)).left == 1
    report = audit.start(here=True, repair=True, dataset=other)
    dataset_deletion.delete_dataset(other)
    audit.run(report)
    assert (report.checked, report.counts) == ({}, {})
    assert "deleted" in report.error_detail
    report.refresh_from_db()
    assert report.ended is not None


def test_the_page_mends_what_its_report_is_about(dataset: Dataset, add: Add) -> None:
    chief = Client()
    chief.force_login(User.objects.create_superuser("chief"))
    report = AuditReport.objects.create(
        dataset=dataset.slug, ended=timezone.now(), left=1,
        counts={"vectors_missing": {"found": 1, "repaired": 0}},
    )  # fmt: skip
    page = chief.get(f"/audit/{report.pk}/").content.decode()
    sent = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    chief.post("/audit/", {name: sent[name] for name in ("repair", "dataset")})
    begun = AuditReport.objects.latest("pk")
    assert (begun.repair, begun.dataset) == (True, dataset.slug)


def test_it_goes_on_where_a_killed_worker_left_it(add: Add) -> None:
    add(1)
    report = audit.start()
    claim = {"claim": "dead", "lease_until": timezone.now() + timedelta(seconds=30)}
    AuditReport.objects.filter(pk=report.pk).update(**claim, position={"check": 3, "after": None})
    assert not audit.waits()
    AuditReport.objects.filter(pk=report.pk).update(lease_until=timezone.now())
    assert audit.waits()
    while audit.advance():
        pass
    report.refresh_from_db()
    assert report.ended is not None
    assert "images_stuck" not in report.counts


def test_without_milvus_the_rest_is_looked_at(
    dataset: Dataset, add: Add, settings: Any, tmp_path: Any
) -> None:
    (image,) = add(1)
    default_storage.delete(original(image))
    settings.MILVUS_URI = f"unix:{tmp_path}/nobody.sock"
    report = audit.run(audit.start(here=True))
    assert report.counts["originals_missing"]["found"] == 1
    assert "Milvus cannot be reached" in report.error_detail


def test_the_command_ends_with_counts_and_tells_by_its_status(
    dataset: Dataset, add: Add, store: VectorStore
) -> None:
    (image,) = add(1)
    store.delete(dataset.active_index.collection, [image.pk])
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("audit", stdout=out)
    assert ended.value.code == 1
    assert out.getvalue().splitlines()[-1].startswith("1 found, 0 repaired, 1 left; looked at 1 ")
    out = StringIO()
    call_command("audit", "--repair", "--dataset", dataset.slug, stdout=out)
    assert "1 found, 1 repaired, 0 left" in out.getvalue()
    assert IndexChunk.objects.count() == 1


def test_every_kind_says_what_can_be_done() -> None:
    assert all(bool(check.repairs) != bool(check.advice) for check in audit.CHECKS)
    assert len(audit.BY_KIND) == len(audit.CHECKS)
    assert look_again.name == files.LOOK_AGAIN


def test_scalars_that_are_not_what_the_row_says(
    dataset: Dataset, add: Add, store: VectorStore
) -> None:
    images = add(4)
    index = dataset.active_index
    vectors = store.fetch(index.collection, [images[1].pk, images[2].pk])
    store.upsert(index.collection, [images[1].pk], vectors[images[1].pk][None])  # without any
    # As no door of the application does it: nothing is told of the change.
    QuerySet(Image).filter(pk=images[2].pk).update(label="new")
    assert found() == {"scalars_stale": 2}
    assert found(repair=True) == {"scalars_stale": 2}
    assert found() == {}  # they are on the list to be written
    scalar_sync.work(10)
    assert found() == {}
    condition = filters.parse({"field": "label", "equals": "new"})
    assert condition is not None
    hits = store.search(index.collection, vectors[images[2].pk], 4, expression(condition))
    assert [hit.image_id for hit in hits] == [images[2].pk]
