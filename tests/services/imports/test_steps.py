"""What workers do for imports: crashes, fairness, duplicates, references, dry runs, statements."""

from __future__ import annotations

import errno
import io
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from PIL import Image as PillowImage

from searchapp.infra import storage
from searchapp.infra.originals import open_original
from searchapp.models import Dataset, Image, ImportItem, ImportJob, ItemState, JobState, SourceKind
from searchapp.services.errors import Gone
from searchapp.services.imports import control, creation, enumeration, step
from searchapp.services.ingest import claims
from tests.pictures import plain_picture
from tests.services.imports.conftest import rows, run
from tests.services.imports.test_archives import start

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(BaseException):
    """The process is gone: nothing behind this line happens."""


def fill(folder: Path, number: int, first: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for one in range(first, first + number):
        (folder / f"{one:06}.png").write_bytes(plain_picture(one, (2, 2)))
    return folder


def folder(dataset: Dataset, owner: User, path: Path, **options: Any) -> ImportJob:
    return start(dataset, owner, path, SourceKind.FOLDER, **options)


def lease_ends() -> None:
    ImportJob.objects.update(lease_until=timezone.now() - timedelta(seconds=1))


@pytest.mark.parametrize("moment", range(6))
def test_killed_anywhere_nothing_is_lost_and_nothing_twice(
    dataset: Dataset, owner: User, root: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    monkeypatch.setattr(enumeration, "_ROWS", 20)
    monkeypatch.setattr(step, "CHUNK", 16)
    job = folder(dataset, owner, fill(root / "a", 50))
    places = [
        ("searchapp.services.imports.enumeration.ImportItem.objects.bulk_create", 1),
        ("searchapp.services.imports.enumeration.renew", 1),
        ("searchapp.services.imports.step.storage.put_original", 20),
        ("searchapp.services.imports.step.acceptance.take", 1),
        ("searchapp.services.imports.step.update_rows", 1),
        ("searchapp.services.imports.step.job_progress.settle", 1),
    ]
    name, survived = places[moment]
    calls = Counter[str]()

    def kill(*_: Any, **__: Any) -> Any:
        calls["so far"] += 1
        if calls["so far"] == survived:
            raise Killed
        return real(*_, **__)

    with monkeypatch.context() as patch:
        module, _, attribute = name.rpartition(".")
        target: Any = __import__("pkgutil").resolve_name(module)
        real = getattr(target, attribute)
        patch.setattr(target, attribute, kill)
        with pytest.raises(Killed):
            run(job)
    assert not step.advance() or moment == 5  # somebody has it, as far as anybody knows
    lease_ends()
    run(job)
    assert rows(job) == [(f"{n:06}.png", "ready", "") for n in range(50)]
    assert Image.objects.count() == job.total == 50


def test_a_file_that_kills_workers_is_given_up_and_the_others_are_taken(
    dataset: Dataset, owner: User, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = folder(dataset, owner, fill(root / "a", 5))
    real = step._read_all

    def read_all(job: ImportJob, items: Any, options: Any) -> Any:
        if any(item.name == "000002.png" for item in items):
            raise Killed
        return real(job, items, options)

    monkeypatch.setattr(step, "_read_all", read_all)
    for _ in range(20):
        try:
            run(job)
        except Killed:
            lease_ends()
    assert Counter(code for _, _, code in rows(job)) == {"": 4, "worker_died": 1}
    assert job.state == JobState.FINISHED_WITH_ERRORS


@pytest.mark.slow
def test_two_imports_progress_side_by_side_and_redis_is_not_filled(
    dataset: Dataset, owner: User, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "IN_FLIGHT", 32)
    monkeypatch.setattr(step, "CHUNK", 16)
    large = folder(dataset, owner, fill(root / "large", 150))
    while step.advance():
        pass
    assert large.items.filter(state=ItemState.RECEIVED).count() == 32
    folder(dataset, owner, fill(root / "small", 30, first=2000))
    done: list[str] = []
    while done.count("small") < 30:
        while step.advance():
            assert Image.objects.filter(state="received").count() <= 2 * 32
        images = claims.claim(8)
        claims.finish(images, into=[])
        done += ["small" if int(image.name[:6]) >= 2000 else "large" for image in images]
    # The small one does not wait for the large one's end: both had their share.
    assert 20 <= done.count("large") <= 50
    run(large)
    assert large.counts == {"ready": 150}


def test_duplicates_are_skipped_linked_or_copied(dataset: Dataset, owner: User, root: Path) -> None:
    fill(root / "a", 2)
    run(folder(dataset, owner, root / "a", label="first", tags=["x"], metadata={"a": 1}))
    (root / "a" / "again.png").write_bytes(plain_picture(0, (2, 2)))
    skipped = folder(dataset, owner, root / "a", label="skipped")
    run(skipped)
    assert skipped.items.filter(duplicate=True).count() == 3
    assert set(Image.objects.values_list("label", flat=True)) == {"first"}
    run(folder(dataset, owner, root / "a", on_duplicate="link", tags=["y"], metadata={"b": 2}))
    image = Image.objects.first()
    assert image is not None
    assert (image.label, image.tags, image.metadata) == ("first", ["x", "y"], {"a": 1, "b": 2})
    assert Image.objects.count() == 2
    copied = folder(dataset, owner, root / "a", on_duplicate="copy", label="copy")
    run(copied)
    assert copied.items.filter(duplicate=True).count() == 0
    assert Counter(Image.objects.values_list("label", flat=True)) == {"first": 2, "copy": 3}
    assert len(set(Image.objects.values_list("sha256", flat=True))) == 2


def test_a_dry_run_says_what_would_happen_and_stores_nothing(
    dataset: Dataset, owner: User, root: Path, settings: Any
) -> None:
    fill(root / "a", 2)
    run(folder(dataset, owner, root / "a"))
    fill(root / "a", 2, first=10)
    (root / "a" / "bad.png").write_bytes(b"words")
    files_before = sorted(Path(settings.STORAGES["default"]["OPTIONS"]["location"]).rglob("*"))
    job = folder(dataset, owner, root / "a", dry_run=True)
    run(job)
    assert job.counts == {"checked": 4, "rejected": 1}
    assert job.items.filter(duplicate=True).count() == 2
    assert Image.objects.count() == 2
    assert (
        sorted(Path(settings.STORAGES["default"]["OPTIONS"]["location"]).rglob("*")) == files_before
    )


def test_a_reference_is_read_where_it_is_as_long_as_it_is_the_same(
    dataset: Dataset, owner: User, root: Path, settings: Any
) -> None:
    fill(root / "a", 1)
    run(folder(dataset, owner, root / "a", keep="reference"))
    image = Image.objects.get()
    file = root / "a" / "000000.png"
    assert image.reference == f"file:{file}"
    originals = Path(settings.STORAGES["default"]["OPTIONS"]["location"]) / "originals"
    assert not originals.exists()
    with open_original(image) as opened:
        assert opened.read() == file.read_bytes()
    file.write_bytes(plain_picture(5))
    codes = {"changed": "original_changed", "gone": "original_missing"}
    with pytest.raises(Gone) as refused:
        open_original(image)
    assert refused.value.code == codes["changed"]
    file.unlink()
    with pytest.raises(Gone) as refused:
        open_original(image)
    assert refused.value.code == codes["gone"]


def test_a_larger_picture_is_stored_smaller_under_the_key_of_what_was_sent(
    dataset: Dataset, owner: User, root: Path
) -> None:
    (root / "large.png").write_bytes(plain_picture(1, (300, 300)))
    (root / "small.png").write_bytes(plain_picture(2, (50, 50)))
    job = folder(dataset, owner, root, max_side=100)
    run(job)
    sizes = {}
    for image in Image.objects.all():
        with open_original(image) as original, PillowImage.open(io.BytesIO(original.read())) as it:
            sizes[image.name] = it.size
        assert (image.content_key == image.sha256) == (image.name == "small.png")
    assert sizes == {"large.png": (100, 100), "small.png": (50, 50)}
    again = folder(dataset, owner, root, max_side=100)
    run(again)
    assert again.items.filter(duplicate=True).count() == 2


def test_an_upload_is_made_smaller_by_a_worker(
    dataset: Dataset, owner: User, upload: Any, settings: Any
) -> None:
    from searchapp.services.imports.options import ImportOptions

    job = creation.create(
        dataset, user=owner, kind=SourceKind.UPLOAD, is_open=True,
        options=ImportOptions(max_side=100),
    )  # fmt: skip
    item = creation.add_upload(job, upload(plain_picture(1, (300, 300))), name="a.png")
    assert isinstance(item, ImportItem)
    assert item.state == ItemState.WAITING
    creation.close(job)
    run(job)
    with open_original(Image.objects.get()) as original:
        assert PillowImage.open(io.BytesIO(original.read())).size == (100, 100)
    imports_folder = Path(settings.STORAGES["default"]["OPTIONS"]["location"]) / "imports"
    assert not [file for file in imports_folder.rglob("*") if file.is_file()]


def test_pausing_and_cancelling_stop_a_step_in_the_middle(
    dataset: Dataset, owner: User, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stop, state in ((control.pause, JobState.PAUSED), (control.cancel, JobState.CANCELLED)):
        job = folder(dataset, owner, fill(root / str(state), 20, first=len(state) * 100))

        original = storage.put_original
        stopped: list[bool] = []

        def put(
            upload: Any,
            stopped: Any = stopped,
            stop: Any = stop,
            job: Any = job,
            put: Any = original,
        ) -> None:
            if not stopped:
                stopped.append(True)
                stop(job)
            put(upload)

        monkeypatch.setattr(storage, "put_original", put)
        run(job)
        monkeypatch.setattr(storage, "put_original", original)
        assert job.state == state
        assert not Image.objects.filter(items__job=job).exists()
    paused = ImportJob.objects.get(state=JobState.PAUSED)
    control.resume(paused)
    run(paused)
    assert paused.counts == {"ready": 20}
    assert ImportJob.objects.get(state=JobState.CANCELLED).counts == {"cancelled": 20}


def test_a_full_disk_pauses_the_import_and_loses_nothing(
    dataset: Dataset, owner: User, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = folder(dataset, owner, fill(root / "a", 3))

    def full(upload: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for _ in range(5):  # more often than a file may kill a worker
        with monkeypatch.context() as patch:
            patch.setattr(storage, "put_original", full)
            assert step.advance()
        job.refresh_from_db()
        assert (job.state, job.error_code) == (JobState.PAUSED, "storage_full")
        assert "Make room" in job.error_detail
        control.resume(job)
        job.refresh_from_db()
        assert (job.state, job.error_code) == (JobState.RUNNING, "")
    run(job)
    assert {state for _, state, _ in rows(job)} == {ItemState.READY}
    assert job.state == JobState.FINISHED


@pytest.mark.slow
def test_ten_thousand_bad_files_cost_rows_and_nothing_else(
    dataset: Dataset, owner: User, root: Path
) -> None:
    lines = "".join(f"\n{number}.png,{'x' * 200}" for number in range(10_000))
    (root / "list.csv").write_text(f"path,label{lines}")
    job = start(dataset, owner, root / "list.csv", SourceKind.MANIFEST)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        run(job)
    assert job.counts == {"rejected": 10_000}
    assert not Image.objects.exists()
    assert len(captured) < 0.1 * 10_000


@pytest.mark.slow
def test_statements_do_not_grow_with_each_picture(
    dataset: Dataset, owner: User, root: Path
) -> None:
    job = folder(dataset, owner, fill(root / "a", 512))
    with CaptureQueriesContext(connection) as captured:
        while True:
            more = step.advance()
            images = claims.claim(settings.INGEST_BATCH)  # as a worker does it
            if not images and not more:
                break
            claims.finish(images, into=[])
    statements = [query["sql"] for query in captured]
    job.refresh_from_db()
    assert job.counts == {"ready": 512}
    assert len(statements) <= 0.5 * 512


def test_the_task_does_a_step_though_redis_is_down(
    dataset: Dataset, owner: User, root: Path
) -> None:
    from worker.tasks.imports import advance

    job = folder(dataset, owner, fill(root / "a", 3))
    advance()
    assert rows(job) == [(f"{n:06}.png", "received", "") for n in range(3)]
