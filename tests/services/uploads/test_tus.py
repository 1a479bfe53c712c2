"""Resumable uploads, word by word of the protocol tus 1.0.0. No service runs here."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from searchapp.infra import partial_files
from searchapp.models import (
    ApiKey,
    Dataset,
    Image,
    ImportItem,
    ImportJob,
    ImportSource,
    ItemState,
    Membership,
    PartialUpload,
    SourceKind,
)
from searchapp.services.imports import control, creation
from searchapp.services.imports.options import ImportOptions
from searchapp.services.uploads import resumable
from tests.pictures import noisy_picture
from tests.properties import examples

pytestmark = pytest.mark.django_db
UPLOADS = "/api/v1/uploads/"
BYTES = "application/offset+octet-stream"


@pytest.fixture
def job(dataset: Dataset, owner: User) -> ImportJob:
    return creation.create(dataset, user=owner, kind=SourceKind.UPLOAD, is_open=True)


class Sender:
    """A client of the protocol, with somebody's key."""

    def __init__(self, user: User, scope: str = "write") -> None:
        _, key = ApiKey.issue(name="test", user_id=user.pk, scope=scope)
        self.client = Client(headers={"Authorization": f"Bearer {key}", "Tus-Resumable": "1.0.0"})

    def create(
        self, job: ImportJob, size: int, body: bytes = b"", headers: Any = None, **metadata: str
    ) -> Any:
        pairs = {"job": str(job.pk), "filename": "a.png"} | metadata
        written = ",".join(
            f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in pairs.items()
        )
        sent_headers = {"Upload-Length": str(size), "Upload-Metadata": written} | (headers or {})
        return self.client.post(UPLOADS, body, content_type=BYTES, headers=sent_headers)

    def patch(self, url: str, offset: int, body: bytes, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent_headers = {"Upload-Offset": str(offset)} | named
        return self.client.patch(url, body, content_type=BYTES, headers=sent_headers)

    def offset(self, url: str) -> int:
        answer = self.client.head(url)
        assert answer.status_code == 200
        assert answer["Cache-Control"] == "no-store"
        return int(answer["Upload-Offset"])


@pytest.fixture
def sender(owner: User) -> Sender:
    return Sender(owner)


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def stored(image: Image | None) -> bytes:
    assert image is not None
    name = f"originals/{image.sha256[:2]}/{image.sha256[2:4]}/{image.sha256}"
    with default_storage.open(name) as file:
        return file.read()  # type: ignore[no-any-return]


def left_over(settings: Any) -> list[str]:
    return [path.name for path in Path(settings.UPLOAD_DIR).iterdir()]


def test_what_the_server_can_do_is_told_without_a_key() -> None:
    answer = Client().options(UPLOADS)
    assert answer.status_code == 204
    assert answer["Tus-Version"] == answer["Tus-Resumable"] == "1.0.0"
    assert set(answer["Tus-Extension"].split(",")) == {
        "creation", "creation-with-upload", "termination", "expiration", "checksum",
    }  # fmt: skip
    assert int(answer["Tus-Max-Size"]) == 20_000_000_000
    assert "sha1" in answer["Tus-Checksum-Algorithm"].split(",")


def test_a_small_file_takes_one_request(sender: Sender, job: ImportJob, settings: Any) -> None:
    data = noisy_picture()
    answer = sender.create(job, len(data), data, filename="sun/a.png", title="Sun", tags="x,y")
    assert answer.status_code == 201
    assert answer["Upload-Offset"] == str(len(data))
    assert "Upload-Expires" not in answer
    item = ImportItem.objects.select_related("image").get()
    assert (item.name, item.state) == ("sun/a.png", ItemState.RECEIVED)
    assert stored(item.image) == data
    assert item.image is not None
    assert (item.image.title, item.image.tags) == ("Sun", ["x", "y"])
    assert left_over(settings) == []
    assert sender.offset(answer["Location"]) == len(data)


def test_a_file_in_pieces(sender: Sender, job: ImportJob) -> None:
    data = noisy_picture()
    answer = sender.create(job, len(data))
    assert answer.status_code == 201
    url = answer["Location"]
    assert sender.offset(url) == 0
    for start in range(0, len(data), 1000):
        assert not ImportItem.objects.exists()
        part = sender.patch(url, start, data[start : start + 1000])
        assert part.status_code == 204
        assert int(part["Upload-Offset"]) == min(start + 1000, len(data)) == sender.offset(url)
    assert stored(ImportItem.objects.get().image) == data
    assert sender.patch(url, len(data), b"").status_code == 204  # whole is whole


@pytest.mark.slow
@profile(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(0, 3000),
    cuts=st.lists(st.tuples(st.integers(0, 1500), st.booleans(), st.booleans()), max_size=12),
    first=st.integers(0, 3000),
)
def test_however_it_is_cut_the_same_bytes_arrive_once(
    sender: Sender,
    job: ImportJob,
    size: int,
    cuts: list[tuple[int, bool, bool]],
    first: int,
) -> None:
    """Pieces of any length, some with a checksum, some sent twice, the announcement repeated."""
    before = ImportItem.objects.count()
    data = os.urandom(size)
    key = data.hex()[:40] + str(before)
    answer = sender.create(job, size, data[:first], key=key)
    url = answer["Location"]
    offset = sender.offset(url)
    assert offset == min(first, size)
    for length, checked, again in [*cuts, (size, True, True)]:
        piece = data[offset : offset + length]
        proof = base64.b64encode(hashlib.sha1(piece).digest()).decode()
        headers = {"Upload_Checksum": f"sha1 {proof}"} if checked else {}
        assert sender.patch(url, offset, piece, **headers).status_code == 204
        if again and piece:
            assert code(sender.patch(url, offset, piece[:1])) in (
                (409, "offset_conflict"), (413, "upload_too_large"),
            )  # fmt: skip
        offset += len(piece)
        assert sender.offset(url) == offset
        repeated = sender.create(job, size, data[:first], key=key)
        assert (repeated["Location"], repeated["Upload-Offset"]) == (url, str(offset))
    assert ImportItem.objects.count() == before + 1
    item = ImportItem.objects.select_related("image").latest("position")
    digest = hashlib.sha256(data).hexdigest()
    if item.image is not None:
        assert (item.image.bytes, item.image.sha256) == (size, digest)
    else:
        assert item.state == ItemState.REJECTED


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Tus-Resumable": "0.2.2"}, (412, "tus_version")),
        ({"Tus-Resumable": ""}, (412, "tus_version")),
        ({"Upload-Length": "-1"}, (400, "invalid_upload")),
        ({"Upload-Length": "many"}, (400, "invalid_upload")),
        ({"Upload-Length": "²"}, (400, "invalid_upload")),
        ({"Upload-Length": "", "Upload-Defer-Length": "1"}, (400, "invalid_upload")),
        ({"Upload-Length": "20000000001"}, (413, "upload_too_large")),
        ({"Upload-Metadata": "job !!"}, (400, "invalid_upload")),
        ({"Upload-Metadata": ""}, (400, "invalid_upload")),
        ({"Upload-Metadata": "job eA==,job eA=="}, (400, "invalid_upload")),
        ({"Upload-Metadata": "job eA=="}, (404, "not_found")),
        ({"Upload-Metadata": "job AA=="}, (400, "invalid_upload")),
        ({"Content-Type": "image/png"}, (415, "unsupported_media_type")),
    ],
)
def test_what_is_not_of_the_protocol_is_refused_in_words(
    sender: Sender, job: ImportJob, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    kind = headers.pop("Content-Type", BYTES)
    encoded_id = base64.b64encode(str(job.pk).encode()).decode()
    sent_headers = {"Upload-Length": "5", "Upload-Metadata": f"job {encoded_id}"} | headers
    answer = sender.client.post(UPLOADS, b"12345", content_type=kind, headers=sent_headers)
    assert code(answer) == expected
    assert answer["Tus-Resumable"] == "1.0.0"
    if expected[0] == 412:
        assert answer["Tus-Version"] == "1.0.0"
    assert not PartialUpload.objects.exists()
    assert not ImportItem.objects.exists()


def test_more_than_announced_is_refused(sender: Sender, job: ImportJob) -> None:
    assert code(sender.create(job, 3, b"1234")) == (413, "upload_too_large")
    url = sender.create(job, 3)["Location"]
    assert code(sender.patch(url, 0, b"1234")) == (413, "upload_too_large")
    assert code(sender.patch(url, 2, b"1")) == (409, "offset_conflict")
    wrong = sender.client.patch(
        url, b"1", content_type="text/plain", headers={"Upload-Offset": "0"}
    )
    assert code(wrong) == (415, "unsupported_media_type")
    assert sender.offset(url) == 0


def test_a_piece_that_differs_from_its_checksum_is_not_kept(sender: Sender, job: ImportJob) -> None:
    url = sender.create(job, 10)["Location"]
    proof = base64.b64encode(hashlib.md5(b"12345").digest()).decode()
    bad = sender.patch(url, 0, b"12344", Upload_Checksum=f"md5 {proof}")
    assert code(bad) == (460, "checksum_mismatch")
    assert sender.offset(url) == 0
    unknown = sender.patch(url, 0, b"12345", Upload_Checksum=f"crc32 {proof}")
    assert code(unknown) == (400, "invalid_upload")
    assert sender.patch(url, 0, b"12345", Upload_Checksum=f"md5 {proof}").status_code == 204


def test_an_upload_is_told_as_it_was_announced(sender: Sender, job: ImportJob) -> None:
    answer = sender.create(job, 7, filename="Größe.png", filetype="image/png")
    response = sender.client.head(answer["Location"])
    assert response["Upload-Length"] == "7"
    metadata = dict(pair.split(" ") for pair in response["Upload-Metadata"].split(","))
    assert base64.b64decode(metadata["filename"]).decode() == "Größe.png"
    assert base64.b64decode(metadata["filetype"]) == b"image/png"
    assert "Upload-Expires" in response


def test_an_upload_is_ended(sender: Sender, job: ImportJob, settings: Any) -> None:
    url = sender.create(job, 10, b"12345")["Location"]
    assert len(left_over(settings)) == 1
    assert sender.client.delete(url).status_code == 204
    assert left_over(settings) == []
    assert sender.client.head(url).status_code == 404
    assert code(sender.patch(url, 5, b"67890")) == (404, "not_found")


def test_what_lets_only_post_through(sender: Sender, job: ImportJob) -> None:
    data = noisy_picture()
    url = sender.create(job, len(data))["Location"]
    headers = {"X-HTTP-Method-Override": "PATCH", "Upload-Offset": "0"}
    sent = sender.client.post(url, data, content_type=BYTES, headers=headers)
    assert sent.status_code == 204
    assert ImportItem.objects.count() == 1
    assert sender.client.post(url).status_code == 405


def test_others_have_no_part_in_it(sender: Sender, job: ImportJob, dataset: Dataset) -> None:
    url = sender.create(job, 10, b"12345")["Location"]
    viewer = User.objects.create_user("viewer")
    Membership.objects.create(dataset=dataset, user=viewer, role="viewer")
    editor = User.objects.create_user("editor")
    Membership.objects.create(dataset=dataset, user=editor, role="editor")
    stranger = Sender(User.objects.create_user("stranger"))
    assert code(Sender(viewer).create(job, 1)) == (403, "not_editor")
    assert code(stranger.create(job, 1)) == (404, "not_found")
    for other in (stranger, Sender(viewer), Sender(editor)):
        assert other.client.head(url).status_code == 404
        assert other.patch(url, 5, b"67890").status_code == 404
        assert other.client.delete(url).status_code == 404
    assert Sender(editor).create(job, 10, b"12345", key="k").status_code == 201
    reader = Sender(User.objects.get(username="owner"), scope="read")
    assert code(reader.create(job, 1)) == (403, "insufficient_scope")
    assert Client().post(UPLOADS, headers={"Tus-Resumable": "1.0.0"}).status_code == 401
    Dataset.objects.filter(pk=dataset.pk).update(deleted=timezone.now())
    assert sender.client.head(url).status_code == 404


def test_a_session_needs_its_token(owner: User, job: ImportJob) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    encoded_id = base64.b64encode(str(job.pk).encode()).decode()
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": "0",
        "Upload-Metadata": f"job {encoded_id}",
    }
    assert client.post(UPLOADS, b"", content_type=BYTES, headers=headers).status_code == 403
    client.get("/datasets/new/")
    token = {"X-CSRFToken": client.cookies["csrftoken"].value}
    assert client.post(UPLOADS, b"", content_type=BYTES, headers=headers | token).status_code == 201


def test_a_closed_import_takes_no_more(sender: Sender, job: ImportJob, settings: Any) -> None:
    url = sender.create(job, 10, b"12345")["Location"]
    creation.close(job)
    assert code(sender.create(job, 3, b"123")) == (409, "wrong_job_state")
    assert code(sender.patch(url, 5, b"67890")) == (409, "wrong_job_state")
    assert sender.client.head(url).status_code == 404
    assert left_over(settings) == []
    assert not ImportItem.objects.exists()


def test_a_paused_import_takes_files(sender: Sender, job: ImportJob) -> None:
    control.pause(job)
    data = noisy_picture()
    assert sender.create(job, len(data), data).status_code == 201
    assert ImportItem.objects.count() == 1


def test_an_archive_becomes_a_source(sender: Sender, job: ImportJob, settings: Any) -> None:
    """It may be larger than a picture may."""
    settings.MAX_UPLOAD_BYTES = 100
    data = b"PK\x03\x04" + os.urandom(5000)
    url = sender.create(job, len(data), data[:4000], filename="all.zip")["Location"]
    assert sender.patch(url, 4000, data[4000:]).status_code == 204
    assert ImportSource.objects.get().name == "all.zip"
    assert not ImportItem.objects.exists()
    large = noisy_picture()
    assert sender.create(job, len(large), large).status_code == 201
    assert ImportItem.objects.get().error_code == "file_too_large"


def test_the_label_is_that_of_the_folder(sender: Sender, dataset: Dataset, owner: User) -> None:
    options = ImportOptions(label_from_folder=True)
    job = creation.create(
        dataset, user=owner, kind=SourceKind.UPLOAD, options=options, is_open=True
    )
    for number, (path, label) in enumerate(
        [("animals/cat/a.png", ""), ("a.png", ""), ("x/b.png", "dog")]
    ):
        data = noisy_picture(number)
        sender.create(job, len(data), data, filename=path, label=label)
    labels = Image.objects.order_by("pk").values_list("label", flat=True)
    assert list(labels) == ["cat", "", "dog"]


def test_two_at_once_and_one_wins(sender: Sender, job: ImportJob, settings: Any) -> None:
    """The file grew between the look and the write: the later sender is told where to go on."""
    url = sender.create(job, 10)["Location"]
    upload = PartialUpload.objects.get()
    pieces = iter([b"12", b"34"])

    def read(_: int) -> bytes:
        piece = next(pieces, b"")
        if piece == b"34":  # another request writes meanwhile
            assert sender.patch(url, 2, b"345").status_code == 204
        return piece

    with pytest.raises(Exception, match="5 bytes, not 0"):
        resumable.receive(upload, 0, read, 10)
    assert partial_files.path_of(upload.pk).read_bytes() == b"12345"


def test_a_crash_before_the_handing_over_is_made_good_by_asking(
    sender: Sender, job: ImportJob
) -> None:
    data = noisy_picture()
    url = sender.create(job, len(data), data[:10])["Location"]
    _write_behind(data)
    assert not ImportItem.objects.exists()
    assert sender.offset(url) == len(data)
    assert sender.offset(url) == len(data)
    assert stored(ImportItem.objects.get().image) == data


def test_a_crash_before_the_handing_over_is_made_good_by_the_sweeper(
    sender: Sender, job: ImportJob, settings: Any
) -> None:
    data = noisy_picture()
    sender.create(job, len(data), data[:10])
    path = _write_behind(data)
    assert resumable.hand_over_forgotten() == 0  # its request may still be at it
    os.utime(path, (time.time() - 300, time.time() - 300))
    assert resumable.hand_over_forgotten() == 1
    assert resumable.hand_over_forgotten() == 0
    assert ImportItem.objects.count() == 1
    assert left_over(settings) == []


def _write_behind(data: bytes) -> Path:
    """As a process leaves it that was killed behind its last write."""
    path = partial_files.path_of(PartialUpload.objects.get().pk)
    path.write_bytes(data)
    return path


def test_a_lost_answer_does_not_double_the_file(sender: Sender, job: ImportJob) -> None:
    data = noisy_picture()
    first = sender.create(job, len(data), data, key="one")
    again = sender.create(job, len(data), data, key="one")
    assert (again.status_code, again["Location"]) == (201, first["Location"])
    assert again["Upload-Offset"] == str(len(data))
    assert ImportItem.objects.count() == 1


def test_uploads_whose_time_is_over_are_tidied(
    sender: Sender, job: ImportJob, settings: Any
) -> None:
    data = noisy_picture()
    sender.create(job, len(data), data)
    old = sender.create(job, 10, b"12345")["Location"]
    sender.create(job, 10, b"123")
    orphan = Path(settings.UPLOAD_DIR) / f"partial-{'0' * 32}"
    orphan.write_bytes(b"nobody was told of it")
    resumable.expire()
    assert PartialUpload.objects.count() == 3
    past = timezone.now() - timedelta(hours=25)
    PartialUpload.objects.update(created=past)
    PartialUpload.objects.exclude(done=None).update(done=past)
    gone = partial_files.path_of(PartialUpload.objects.get(pk=old.split("/")[-2]).pk)
    for path in (gone, orphan):
        os.utime(path, (past.timestamp(), past.timestamp()))
    resumable.expire()
    assert sender.client.head(old).status_code == 404
    assert PartialUpload.objects.count() == 1  # somebody wrote to it lately
    assert len(left_over(settings)) == 1
    assert ImportItem.objects.count() == 1


def test_a_full_disk_is_said_before_anything_is_sent(
    sender: Sender, job: ImportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("usage", (), {"free": 1_000_000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert code(sender.create(job, 10)) == (507, "storage_full")


def test_unfinished_uploads_are_bounded(
    sender: Sender, job: ImportJob, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(resumable, "MAX_UNFINISHED", 2)
    for _ in range(2):
        assert sender.create(job, 10, b"1").status_code == 201
    assert code(sender.create(job, 10, b"1")) == (429, "too_many_uploads")
    assert len(left_over(settings)) == 2
    data = noisy_picture()
    assert sender.create(job, len(data), data).status_code == 201  # leaves nothing unfinished
