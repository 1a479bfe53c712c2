"""Files that are sent to an open job, one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from searchapp.infra.upload_handler import HashedUpload
from searchapp.models import (
    Dataset,
    Image,
    ImportItem,
    ImportJob,
    ImportSource,
    ItemState,
    JobState,
    SourceKind,
)
from searchapp.services.errors import Conflict, Invalid
from searchapp.services.imports import control, creation
from searchapp.services.imports.job_progress import progress
from searchapp.services.imports.options import ImportOptions
from searchapp.services.ingest import claims
from tests.pictures import plain_picture

pytestmark = pytest.mark.django_db(transaction=True)
Make = Callable[..., HashedUpload]


@pytest.fixture
def job(dataset: Dataset, owner: User) -> ImportJob:
    return creation.create(dataset, user=owner, kind=SourceKind.UPLOAD, name="files", is_open=True)


def test_a_picture_becomes_a_row_with_an_image(job: ImportJob, upload: Make) -> None:
    fields = {"title": "Sun", "label": "star", "tags": "a, b", "metadata": {"year": 1}}
    item = creation.add_upload(job, upload(plain_picture(1)), name="sun.png", given=fields)
    assert isinstance(item, ImportItem)
    assert item.state == ItemState.RECEIVED
    image = item.image
    assert image is not None
    assert (image.name, image.title, image.label) == ("sun.png", "Sun", "star")
    assert (image.tags, image.metadata) == (["a", "b"], {"year": 1})


def test_what_is_no_picture_costs_one_row(job: ImportJob, upload: Make) -> None:
    for content in (b"", b"just words"):
        creation.add_upload(job, upload(content), name="x.png")
    codes = list(job.items.values_list("error_code", flat=True).order_by("position"))
    assert codes == ["empty_file", "not_a_picture"]
    assert not Image.objects.exists()


def test_archives_and_manifests_become_sources(job: ImportJob, upload: Make) -> None:
    sent = {
        b"PK\x05\x06" + bytes(18): SourceKind.ARCHIVE,
        b"\x1f\x8b\x08": SourceKind.ARCHIVE,
        b"PAR1": SourceKind.MANIFEST,
        b"title;url\nA;https://example.org/a.jpg\n": SourceKind.MANIFEST,
        b'{"path": "a.jpg"}\n': SourceKind.MANIFEST,
        b'{"info": {},\n "images": []}': SourceKind.COCO,
    }
    for content, kind in sent.items():
        source = creation.add_upload(job, upload(content), name="x")
        assert isinstance(source, ImportSource)
        assert source.kind == kind
        again = creation.add_upload(job, upload(content), name="x")
        assert again == source
    assert job.sources.count() == len(sent)


def test_a_closed_job_takes_nothing_more(job: ImportJob, upload: Make) -> None:
    creation.add_upload(job, upload(b"words"), name="x")
    creation.close(job)
    job.refresh_from_db()
    assert job.state == JobState.FINISHED_WITH_ERRORS
    with pytest.raises(Conflict) as refused:
        creation.add_upload(job, upload(plain_picture()), name="y")
    assert refused.value.code == "wrong_job_state"
    assert progress(job).total == 1


def test_what_is_sent_to_a_paused_job_waits_until_it_is_resumed(
    job: ImportJob, upload: Make
) -> None:
    creation.add_upload(job, upload(plain_picture(1)), name="1")
    control.pause(job)
    creation.add_upload(job, upload(plain_picture(2)), name="2")
    assert claims.claim(10) == []
    control.resume(job)
    assert len(claims.claim(10)) == 2


def test_cancelling_removes_what_no_worker_has_begun_with(job: ImportJob, upload: Make) -> None:
    before = creation.create(job.dataset, user=None, kind=SourceKind.UPLOAD, is_open=True)
    creation.add_upload(before, upload(plain_picture(1)), name="1")
    creation.add_upload(job, upload(plain_picture(1)), name="1")  # a duplicate of another's
    creation.add_upload(job, upload(plain_picture(2)), name="2")
    control.cancel(job)
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
    assert job.counts == {"cancelled": 2}
    assert [image.name for image in Image.objects.all()] == ["1"]


def test_only_what_failed_is_tried_again(job: ImportJob, upload: Make) -> None:
    creation.add_upload(job, upload(plain_picture(1)), name="1")
    creation.add_upload(job, upload(b"words"), name="2")
    creation.close(job)
    claims.fail(claims.claim(10), "internal_error", "x")
    job.refresh_from_db()
    assert job.state == JobState.FINISHED_WITH_ERRORS
    assert control.retry_failed(job) == 1
    job.refresh_from_db()
    assert job.state == JobState.RUNNING
    claims.finish(claims.claim(10), into=[])
    job.refresh_from_db()
    assert job.counts == {"ready": 1, "rejected": 1}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"colour": 1}, "colour"),
        ({"label": "x" * 121}, "label"),
        ({"tags": 5}, "tags"),
        ({"metadata": []}, "metadata"),
        ({"on_duplicate": "maybe"}, "on_duplicate"),
        ({"max_side": 1}, "max_side"),
        ({"max_side": True}, "max_side"),
        ({"keep": "nothing"}, "keep"),
        ({"dry_run": 1}, "dry_run"),
        ({"keep": "reference", "max_side": 100}, "max_side"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], word: str) -> None:
    with pytest.raises(Invalid) as refused:
        ImportOptions.from_dict(options)
    assert refused.value.code == "invalid_options"
    assert word in refused.value.detail


def test_options_survive_the_database() -> None:
    options = ImportOptions.from_dict({"tags": ["a", "b"], "max_side": "300", "dry_run": True})
    assert ImportOptions.from_dict(options.to_dict()) == options
