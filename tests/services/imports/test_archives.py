"""Archives: what is refused and why, bombs, and going on where a listing was left."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from django.contrib.auth.models import User
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchapp.models import Dataset, Image, ImportItem, ImportJob, ImportSource, SourceKind
from searchapp.services.imports import creation, enumeration, import_cleanup
from searchapp.services.imports.options import ImportOptions
from searchapp.services.imports.sources.archive import ArchiveSource, _refusal_of_name
from tests.pictures import plain_picture
from tests.properties import examples
from tests.services.imports.conftest import rows, run

pytestmark = pytest.mark.django_db


def start(
    dataset: Dataset, user: User, path: Path, kind: SourceKind = SourceKind.ARCHIVE, **options: Any
) -> ImportJob:
    import_options = ImportOptions.from_dict(options)
    return creation.create(
        dataset, user=user, kind=kind, location=str(path), options=import_options
    )


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


FILES = {
    "./cat/a.png": plain_picture(1),
    "__MACOSX/cat/._a.png": b"x",
    "../../etc/b.png": plain_picture(2),
    "/abs.png": plain_picture(3),
    "C:\\c.png": plain_picture(4),
    "bad.png": b"words",
    "inner.zip": b"PK\x03\x04" + bytes(30),
    "dog/" + "long" * 40 + ".png": plain_picture(5),
}
OUTCOMES = [
    ("./cat/a.png", "ready", ""),
    ("../../etc/b.png", "rejected", "path_escapes"),
    ("/abs.png", "rejected", "path_escapes"),
    ("C:\\c.png", "rejected", "path_escapes"),
    ("bad.png", "rejected", "not_a_picture"),
    ("inner.zip", "rejected", "nested_archive"),
    ("dog/" + "long" * 40 + ".png", "ready", ""),
]


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst"])
def test_every_format_gives_the_same_rows(
    dataset: Dataset, owner: User, root: Path, suffix: str
) -> None:
    path = root / f"pictures.{suffix}"
    if suffix == "zip":
        zipped(path, FILES)
    elif suffix == "tar.zst":
        plain = tarred(root / "plain.tar", FILES).read_bytes()
        path.write_bytes(zstandard.ZstdCompressor().compress(plain))
    else:
        tarred(path, FILES, f"w:{suffix.partition('.')[2]}".removesuffix(":"))
    job = start(dataset, owner, path, label_from_folder=True)
    run(job)
    assert rows(job) == OUTCOMES
    assert sorted(Image.objects.values_list("label", flat=True)) == ["cat", "dog"]


def test_links_devices_and_encrypted_members_are_refused(
    dataset: Dataset, owner: User, root: Path
) -> None:
    path = tarred(root / "a.tar", {"good.png": plain_picture(1)})
    with tarfile.open(path, "a") as archive:
        for name, kind in (("s", tarfile.SYMTYPE), ("h", tarfile.LNKTYPE), ("d", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    job = start(dataset, owner, path)
    run(job)
    assert [code for _, _, code in rows(job)] == ["", "link_refused", "link_refused", "not_a_file"]

    other = root / "a.zip"
    with zipfile.ZipFile(other, "w") as zip_archive:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        zip_archive.writestr(link, "/etc/passwd")
        zip_archive.writestr("secret.png", plain_picture(2))
    content = bytearray(other.read_bytes())
    at = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 1)
    content[at + 8] |= 1  # the directory says that the second member is encrypted
    other.write_bytes(content)
    job = start(dataset, owner, other)
    run(job)
    assert [code for _, _, code in rows(job)] == ["link_refused", "encrypted"]


@pytest.mark.slow
def test_bombs_are_no_more_than_rows(
    dataset: Dataset, owner: User, root: Path, settings: Any
) -> None:
    nothing = bytes(30_000_000)
    job = start(dataset, owner, zipped(root / "a.zip", {"a": nothing, "b.png": plain_picture(1)}))
    run(job)
    assert rows(job) == [("a", "rejected", "bomb"), ("b.png", "ready", "")]

    job = start(dataset, owner, tarred(root / "a.tar.xz", {"a": nothing}, "w:xz"))
    run(job)
    assert job.error_code == "archive_broken"
    assert job.state == "finished_with_errors"

    settings.MAX_MEMBERS = 2
    three = {f"{n}.png": plain_picture(n) for n in range(10, 13)}
    job = start(dataset, owner, zipped(root / "three.zip", three))
    run(job)
    assert [code for _, _, code in rows(job)] == ["", "", "too_many_members"]

    settings.MAX_MEMBERS, settings.MAX_UNPACKED_BYTES = 100, len(plain_picture(10)) + 5
    job = start(dataset, owner, zipped(root / "three.zip", three))
    run(job)
    codes = [code for _, _, code in rows(job)]
    assert codes == ["", "archive_too_large", "archive_too_large"]


def test_a_directory_that_would_fill_the_memory_is_not_read(
    dataset: Dataset, owner: User, root: Path, settings: Any
) -> None:
    settings.MAX_MEMBERS = 10
    job = start(dataset, owner, zipped(root / "a.zip", {f"{n}": b"" for n in range(2000)}))
    run(job)
    assert job.error_code == "archive_broken"
    assert job.total == 0


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_what_stands_before_the_damage_is_taken(
    dataset: Dataset, owner: User, root: Path, name: str
) -> None:
    path = root / name
    files = {f"{n}.png": plain_picture(n) + bytes(3000) for n in range(20)}
    if name.endswith("zip"):
        zipped(path, files)
        content = bytearray(path.read_bytes())
        content[60:70] = bytes(10)
    else:
        tarred(path, files, "w:gz" if name.endswith("gz") else "w")
        content = bytearray(path.read_bytes()[: path.stat().st_size // 2])
    path.write_bytes(content)
    job = start(dataset, owner, path)
    run(job)
    if name == "a.zip":
        assert rows(job)[0] == ("0.png", "rejected", "member_broken")
        assert Image.objects.count() == 19
    else:
        assert job.error_code == "archive_broken"
        assert Image.objects.count() == (0 if name.endswith("gz") else 11)
    assert job.state == "finished_with_errors"


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz"])
def test_a_listing_goes_on_where_it_was_left(
    dataset: Dataset, owner: User, root: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enumeration, "_ROWS", 3)
    monkeypatch.setattr(enumeration, "_MAX_ROWS", 3)
    path = root / f"a.{suffix}"
    files = {f"{n:02}.png": plain_picture(n) for n in range(20)}
    if suffix == "zip":
        zipped(path, files)
    else:
        tarred(path, files, "w:gz" if suffix.endswith("gz") else "w")
    job = start(dataset, owner, path)
    run(job)
    assert rows(job) == [(name, "ready", "") for name in files]


def test_no_worker_keeps_an_archive_open(dataset: Dataset, owner: User, root: Path) -> None:
    """One that was deleted meanwhile would keep its bytes on the disk."""
    path = zipped(root / "a.zip", {f"{n}.png": plain_picture(n) for n in range(3)})
    job = start(dataset, owner, path)
    run(job)
    assert job.state == "finished"
    open_now = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.exists()]
    assert str(path) not in open_now


def test_an_archive_that_was_sent_goes_with_its_job(
    dataset: Dataset, owner: User, root: Path, upload: Callable[..., Any], settings: Any
) -> None:
    job = creation.create(dataset, user=owner, kind=SourceKind.UPLOAD, is_open=True)
    path = zipped(root / "a.zip", {"a.png": plain_picture(1)})
    creation.add_upload(job, upload(path.read_bytes()), name="a.zip")
    creation.close(job)
    run(job)
    assert rows(job) == [("a.png", "ready", "")]
    imports_folder = Path(settings.STORAGES["default"]["OPTIONS"]["location"]) / "imports"
    assert [file for file in imports_folder.rglob("*") if file.is_file()]
    import_cleanup.tidy()
    assert not [file for file in imports_folder.rglob("*") if file.is_file()]


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), max_size=6)
)
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_name_gets_out_of_an_archive(root: Path, names: list[str]) -> None:
    """Whatever members are called: each is listed or left out, and none is found by its name."""
    path = root / "names.tar"
    tarred(path, {name: plain_picture(1) for name in names})
    source = ArchiveSource(
        ImportSource(job=ImportJob(), kind="archive", location=str(path)), ImportOptions()
    )
    for one in source.list(""):
        parts = one.name.replace("\\", "/").split("/")
        if ".." in parts or parts[0] == "":
            assert one.refusal is not None
        if one.refusal is None:
            with source.open(ImportItem(name=one.name, locator=one.locator)) as file:
                assert file.read(100) == plain_picture(1)[:100]
    for name in names:
        stays = (root / "x" / name.replace("\0", "")).resolve().is_relative_to(root / "x")
        assert stays or _refusal_of_name(name) is not None
