"""Folders of the server: what is listed, what is refused, and what becomes of the files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from searchapp.models import Dataset, Image, ItemState, SourceKind
from searchapp.services.errors import Invalid
from searchapp.services.imports import creation
from searchapp.services.imports.options import ImportOptions
from tests.pictures import plain_picture
from tests.services.imports.conftest import rows, run

pytestmark = pytest.mark.django_db


def test_every_file_below_becomes_a_row(dataset: Dataset, owner: User, root: Path) -> None:
    files = {
        "b/cat/2.png": plain_picture(2),
        "a.png": plain_picture(1),
        "z.txt": b"words",
        "b/cat/1.png": b"",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / ".hidden").write_bytes(b"x")
    (root / "Thumbs.db").write_bytes(b"x")
    options = ImportOptions(label="none", tags=("x",), label_from_folder=True)
    job = creation.create(
        dataset, user=owner, kind=SourceKind.FOLDER, location=str(root), options=options
    )
    run(job)
    assert rows(job) == [
        ("a.png", "ready", ""),
        ("b/cat/1.png", "rejected", "empty_file"),
        ("b/cat/2.png", "ready", ""),
        ("z.txt", "rejected", "not_a_picture"),
    ]
    assert job.counts == {"ready": 2, "rejected": 2}
    images = Image.objects.order_by("name").values_list("name", "label", "tags", "source")
    assert list(images) == [("2.png", "cat", ["x"], "import"), ("a.png", "none", ["x"], "import")]


def test_what_is_no_plain_file_inside_is_refused(
    dataset: Dataset, owner: User, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "secret.png"
    outside.write_bytes(plain_picture(9))
    (root / "leaves.png").symlink_to(outside)
    (root / "circle").symlink_to(root)
    (root / "nothing.png").symlink_to(root / "missing.png")
    (root / "good.png").write_bytes(plain_picture(1))
    (root / "stays.png").symlink_to(root / "good.png")
    os.mkfifo(root / "pipe.png")
    (root / os.fsdecode(b"\xff.png")).write_bytes(plain_picture(2))
    job = creation.create(dataset, user=owner, kind=SourceKind.FOLDER, location=str(root))
    run(job)
    assert rows(job) == [
        ("circle", "rejected", "link_refused"),
        ("good.png", "ready", ""),
        ("leaves.png", "rejected", "link_refused"),
        ("nothing.png", "rejected", "link_refused"),
        ("pipe.png", "rejected", "not_a_file"),
        ("stays.png", "ready", ""),
        ("?.png", "rejected", "name_not_text"),
    ]
    assert Image.objects.count() == 1


def test_a_link_put_in_place_of_a_listed_file_is_not_followed(
    dataset: Dataset, owner: User, root: Path, tmp_path: Path
) -> None:
    from searchapp.services.imports import enumeration, job_claim, step

    (root / "a.png").write_bytes(plain_picture(1))
    outside = tmp_path / "secret.png"
    outside.write_bytes(plain_picture(9))
    job = creation.create(dataset, user=owner, kind=SourceKind.FOLDER, location=str(root))
    claim = step._claim()
    assert claim is not None
    enumeration.step(claim[0], ImportOptions())
    job_claim.held(claim[0]).update(claim="", lease_until=None)
    (root / "a.png").unlink()
    (root / "a.png").symlink_to(outside)
    run(job)
    assert rows(job) == [("a.png", "failed", "path_not_allowed")]
    assert not Image.objects.exists()


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("/etc", "path_not_allowed"),
        ("relative", "path_not_allowed"),
        ("{root}/../files", "path_not_allowed"),
        ("{root}/missing", "path_missing"),
        ("{root}/" + "long" * 100, "path_missing"),
        ("{root}/a\0b", "path_not_allowed"),
        ("{root}/file", "not_a_folder"),
        ("{root}/out", "path_not_allowed"),
        ("kept:" + "0" * 64, "path_not_allowed"),
    ],
)
def test_only_folders_inside_the_roots_are_read(
    dataset: Dataset, root: Path, location: str, code: str
) -> None:
    (root / "file").write_bytes(b"x")
    (root / "out").symlink_to("/etc")
    with pytest.raises(Invalid) as refused:
        creation.create(
            dataset, user=None, kind=SourceKind.FOLDER, location=location.format(root=root)
        )
    assert refused.value.code == code


def test_an_unreadable_file_fails_and_is_tried_again(
    dataset: Dataset, owner: User, root: Path
) -> None:
    from searchapp.services.imports import control, enumeration, job_claim, step

    (root / "a.png").write_bytes(plain_picture(1))
    job = creation.create(dataset, user=owner, kind=SourceKind.FOLDER, location=str(root))
    claim = step._claim()
    assert claim is not None
    enumeration.step(claim[0], ImportOptions())
    job_claim.held(claim[0]).update(claim="", lease_until=None)
    (root / "a.png").rename(root / "away.png")
    run(job)
    assert rows(job) == [("a.png", ItemState.FAILED, "path_missing")]
    (root / "away.png").rename(root / "a.png")
    assert control.retry_failed(job) == 1
    run(job)
    assert rows(job) == [("a.png", "ready", "")]
