"""The REST API and the commands of imports, in process."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from searchapp.models import Dataset, Image, ImportJob, Membership
from searchapp.services.imports import step
from tests.pictures import plain_picture
from tests.services.imports.conftest import run
from tests.services.imports.test_archives import zipped

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(owner: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(owner)
    return client


@pytest.fixture
def address(dataset: Dataset) -> str:
    return f"/api/v1/datasets/{dataset.slug}/imports/"


def job_of(answer: Any) -> ImportJob:
    assert answer.status_code in (200, 201), answer.content
    return ImportJob.objects.get(pk=answer.json()["id"])


def test_a_folder_is_imported_and_its_ledger_read(api: APIClient, address: str, root: Path) -> None:
    for number in range(3):
        (root / f"{number}.png").write_bytes(plain_picture(number))
    (root / "=bad.png").write_bytes(b"words")
    body = {"kind": "folder", "location": str(root), "options": {"label": "x", "tags": ["a"]}}
    job = job_of(api.post(address, body, format="json"))
    run(job)
    status = api.get(f"/api/v1/jobs/{job.pk}/").json()
    assert (status["state"], status["kind"], status["total"]) == (
        "finished_with_errors",
        "folder",
        4,
    )
    assert (status["ready"], status["rejected"], status["waiting"]) == (3, 1, 0)
    assert [item["state"] for item in status["items"]].count("ready") == 3
    bad = api.get(f"/api/v1/jobs/{job.pk}/items/?state=rejected").json()["results"]
    assert [(item["name"], item["error"]["code"]) for item in bad] == [
        ("=bad.png", "not_a_picture")
    ]
    paged = api.get(f"/api/v1/jobs/{job.pk}/items/?page_size=3").json()
    assert len(paged["results"]) == 3
    assert len(api.get(paged["next"]).json()["results"]) == 1
    table = api.get(f"/api/v1/jobs/{job.pk}/ledger.csv").getvalue().decode()
    assert len(table.splitlines()) == 5
    assert "'=bad.png" in table
    assert [row["id"] for row in api.get("/api/v1/jobs/").json()["results"]] == [str(job.pk)]
    assert api.get("/api/v1/jobs/?state=running").json()["results"] == []
    assert len(api.get(address).json()["results"]) == 1


def test_files_come_with_the_request(
    api: APIClient, address: str, root: Path, dataset: Dataset
) -> None:
    archive = zipped(root / "a.zip", {"a.png": plain_picture(1), "b.png": b"words"}).read_bytes()
    files = [SimpleUploadedFile("a.zip", archive), SimpleUploadedFile("c.png", plain_picture(2))]
    body = {"file": files, "options": json.dumps({"label": "sent"})}
    job = job_of(api.post(address, body, format="multipart"))
    run(job)
    assert sorted(Image.objects.values_list("name", "label")) == [
        ("a.png", "sent"),
        ("c.png", "sent"),
    ]
    assert job.counts == {"ready": 2, "rejected": 1}


def test_an_open_job_is_controlled(api: APIClient, address: str) -> None:
    job = job_of(api.post(address, {"open": True}, format="json"))

    def act(action: str) -> tuple[int, str]:
        answer = api.post(f"/api/v1/jobs/{job.pk}/{action}/")
        return answer.status_code, answer.json().get("state") or answer.json().get("code")

    assert act("pause") == (200, "paused")
    assert act("pause") == (409, "wrong_job_state")
    assert act("resume") == (200, "running")
    assert act("retry") == (200, "running")
    assert act("close") == (200, "finished")
    assert act("cancel") == (409, "wrong_job_state")


def test_who_may_see_and_who_may_control(
    dataset: Dataset, address: str, api: APIClient, owner: User
) -> None:
    job = job_of(api.post(address, {"open": True}, format="json"))
    users = {name: User.objects.create_user(name) for name in ("viewer", "editor", "stranger")}
    for name in ("viewer", "editor"):
        Membership.objects.create(dataset=dataset, user=users[name], role=name)
    expected = {"viewer": (404, 404, 403), "editor": (200, 200, 201), "stranger": (404, 404, 404)}
    for name, (seen, paused, created) in expected.items():
        client = APIClient()
        client.force_authenticate(users[name])
        for path in ("", "items/", "ledger.csv"):
            assert client.get(f"/api/v1/jobs/{job.pk}/{path}").status_code == seen, name
        assert client.post(f"/api/v1/jobs/{job.pk}/pause/").status_code == paused, name
        assert client.post(address, {"open": True}, format="json").status_code == created, name
        listed = client.get("/api/v1/jobs/").json()["results"]
        assert bool(listed) == (seen == 200)
    # Who was an editor once still sees what they sent, and controls nothing.
    mine = ImportJob.objects.get(user=users["editor"])
    Membership.objects.filter(user=users["editor"]).update(role="viewer")
    client = APIClient()
    client.force_authenticate(users["editor"])
    assert client.get(f"/api/v1/jobs/{mine.pk}/").status_code == 200
    assert client.post(f"/api/v1/jobs/{mine.pk}/cancel/").status_code == 403
    anyone = APIClient()
    assert anyone.get("/api/v1/jobs/").json()["results"] == []
    assert anyone.post(f"/api/v1/jobs/{job.pk}/cancel/").status_code == 401


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "no_file"),
        ({"kind": "dataset"}, "invalid"),
        ({"kind": "folder", "location": "/etc"}, "path_not_allowed"),
        ({"kind": "bucket", "location": "s3://x/"}, "bucket_not_allowed"),
        ({"open": True, "options": {"label": 5, "x": 1}}, "invalid_options"),
        ({"open": True, "options": {"move": True}}, "invalid_options"),
        ({"kind": "archive", "location": "/etc/passwd"}, "path_not_allowed"),
        ({"kind": "coco", "location": "x", "options": {"max_side": 100}}, "invalid_options"),
        ({"kind": "archive", "options": {"keep": "reference"}}, "invalid_options"),
    ],
)
def test_wrong_requests_are_refused_with_a_code(
    api: APIClient, address: str, body: dict[str, Any], code: str
) -> None:
    answer = api.post(address, body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert not ImportJob.objects.exists()


def test_a_cursor_that_is_none_is_not_found(api: APIClient, address: str) -> None:
    job = job_of(api.post(address, {"open": True}, format="json"))
    for path in ("/api/v1/jobs/", f"/api/v1/jobs/{job.pk}/items/", address):
        assert api.get(f"{path}?cursor=cD14").json()["code"] == "invalid_cursor"
    assert api.get("/api/v1/jobs/?state=x").json()["code"] == "invalid_state"
    assert api.get(f"/api/v1/jobs/{job.pk}/items/?state=x").json()["code"] == "invalid_state"


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_the_commands_import_list_and_control(
    dataset: Dataset, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "cat").mkdir()
    (root / "cat" / "a.png").write_bytes(plain_picture(1))

    def work(_: float) -> None:
        run(ImportJob.objects.latest("created"))

    monkeypatch.setattr("searchapp.management.import_progress.time.sleep", work)
    output = command(
        "import_pictures", dataset.slug, str(root), "--label-from-folder", "--tag", "t"
    )
    image = Image.objects.get()
    assert (image.label, image.tags) == ("cat", ["t"])
    assert "finished: 1 of 1 files, 1 ready" in command("jobs")
    assert "a.png,ready" in command("jobs", "ledger", output.strip())

    outside = zipped(tmp_path / "sent.zip", {"b.png": plain_picture(2), "c.png": b"words"})
    with pytest.raises(CommandError, match="finished, with errors"):
        command("import_pictures", dataset.slug, str(outside), "--dry-run")
    assert Image.objects.count() == 1
    with pytest.raises(CommandError, match="LOOKALIKE_IMPORT_ROOTS"):
        command("import_pictures", dataset.slug, str(tmp_path))
    with pytest.raises(CommandError, match="no dataset"):
        command("import_pictures", "nothing", str(root))
    waiting = command("import_pictures", dataset.slug, str(root), "--no-wait").strip()
    assert "paused" in command("jobs", "pause", waiting)
    assert not step.advance()
    assert "running" in command("jobs", "resume", waiting)
    assert "cancelled" in command("jobs", "cancel", waiting)
    with pytest.raises(CommandError, match="cannot be resumed"):
        command("jobs", "resume", waiting)
    with pytest.raises(CommandError, match="no import"):
        command("jobs", "show", "x")
