"""Uploads, jobs and images."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from PIL import Image

from harness.installation import Client, Installation, wait_until

Picture = Callable[[int], bytes]
# What was deleted so far was deleted two days ago, and is removed for good.
A_DAY_LATER = """
from datetime import timedelta
from django.utils import timezone
from searchapp.models import Dataset, Image
from searchapp.services.datasets import dataset_deletion
before = timezone.now() - timedelta(days=2)
Image.objects.exclude(deleted_at=None).update(deleted_at=before)
Dataset.objects.exclude(deleted=None).update(deleted=before)
dataset_deletion.purge()
"""


def test_from_upload_to_facts(admin: Client, dataset: str, picture: Picture) -> None:
    answer = admin.upload(
        dataset, ("häuser.jpg", picture(10)), title="Houses", metadata='{"year": 1969}'
    )
    item = answer["items"][0]
    assert item == {
        "id": item["id"], "name": "häuser.jpg", "state": "received", "duplicate": False,
        "error": None, "attempts": 0, "duration": None,
    }  # fmt: skip
    job = admin.finished(answer["job"])
    assert (job["state"], job["total"], job["ready"], job["rejected"], job["failed"]) == (
        "finished", 1, 1, 0, 0,
    )  # fmt: skip
    assert job["items"][0]["state"] == "ready"
    body = admin.get(f"/images/{item['id']}/").json()
    facts = {name: body[name] for name in ("dataset", "state", "error", "title", "metadata",
             "width", "height", "bytes", "format", "sha256")}  # fmt: skip
    assert facts == {
        "dataset": dataset,
        "state": "ready",
        "error": None,
        "title": "Houses",
        "metadata": {"year": 1969},
        "width": 160,
        "height": 120,
        "bytes": len(picture(10)),
        "format": "jpeg",
        "sha256": hashlib.sha256(picture(10)).hexdigest(),
    }
    original = admin.session.get(body["url"], timeout=30)
    assert (original.content, original.headers["Content-Type"]) == (picture(10), "image/jpeg")
    thumbnail = admin.session.get(body["thumbnail_url"], timeout=30)
    assert thumbnail.headers["Content-Type"] == "image/webp"
    assert Image.open(io.BytesIO(thumbnail.content)).size == (160, 120)
    assert admin.get(f"/datasets/{dataset}/").json()["counts"]["ready"] == 1


def test_one_bad_file_never_fails_the_others(
    admin: Client, dataset: str, picture: Picture, giraffe: bytes
) -> None:
    answer = admin.upload(
        dataset,
        ("good.jpg", picture(20)),
        ("empty.jpg", b""),
        ("letter.jpg", b"%PDF-1.7 not a picture"),
        ("half.jpg", giraffe[: len(giraffe) // 2]),
        ("good.png", picture(21)),
    )
    assert [item["name"] for item in answer["items"]] == [
        "good.jpg", "empty.jpg", "letter.jpg", "half.jpg", "good.png",
    ]  # fmt: skip
    job = admin.finished(answer["job"])
    assert job["state"] == "finished_with_errors"
    outcomes = [(item["state"], (item["error"] or {}).get("code")) for item in job["items"]]
    assert outcomes == [
        ("ready", None),
        ("rejected", "empty_file"),
        ("rejected", "not_a_picture"),
        ("rejected", "truncated"),
        ("ready", None),
    ]
    for item in job["items"]:
        body = admin.get(f"/images/{item['id']}/").json()
        assert (body["state"], body["error"]) == (item["state"], item["error"])
    states = admin.get(f"/datasets/{dataset}/images/", params={"state": "rejected"}).json()
    assert {row["name"] for row in states["results"]} == {"empty.jpg", "letter.jpg", "half.jpg"}


def test_the_same_bytes_again_are_the_image_that_is_there(
    admin: Client, dataset: str, picture: Picture
) -> None:
    first = admin.upload(dataset, ("a.jpg", picture(30)), ("twin.jpg", picture(30)))
    assert [item["duplicate"] for item in first["items"]] == [False, True]
    admin.finished(first["job"])
    second = admin.upload(dataset, ("b.jpg", picture(30)))
    item = second["items"][0]
    assert item == {
        "id": first["items"][0]["id"], "name": "b.jpg", "state": "ready", "duplicate": True,
        "error": None, "attempts": 0, "duration": None,
    }  # fmt: skip
    assert admin.finished(second["job"])["ready"] == 1
    assert admin.get(f"/datasets/{dataset}/").json()["counts"]["total"] == 1


def test_the_same_bytes_in_another_dataset_are_an_image_of_their_own(
    admin: Client, picture: Picture
) -> None:
    one, other = admin.dataset("one of two"), admin.dataset("other of two")
    ids = []
    for slug in (one, other):
        answer = admin.upload(slug, ("a.jpg", picture(31)))
        admin.finished(answer["job"])
        ids.append(answer["items"][0]["id"])
    assert ids[0] != ids[1]
    # The files are shared: they stay while the other image needs them.
    assert admin.delete(f"/images/{ids[0]}/").status_code == 204
    left = admin.get(f"/images/{ids[1]}/").json()
    assert admin.session.get(left["url"], timeout=30).content == picture(31)
    assert admin.session.get(left["thumbnail_url"], timeout=30).status_code == 200


def test_a_rejected_file_that_is_sent_again_is_tried_again(admin: Client, dataset: str) -> None:
    first = admin.upload(dataset, ("a.jpg", b"no picture"))
    admin.finished(first["job"])
    second = admin.upload(dataset, ("a.jpg", b"no picture"))
    assert second["items"][0]["id"] == first["items"][0]["id"]
    assert second["items"][0]["duplicate"] is False
    assert admin.finished(second["job"])["rejected"] == 1


def test_deletion_leaves_nothing(
    installation: Installation, admin: Client, dataset: str, picture: Picture
) -> None:
    answer = admin.upload(dataset, ("a.jpg", picture(40)), ("b.jpg", picture(41)))
    admin.finished(answer["job"])
    gone, remaining = (item["id"] for item in answer["items"])
    sha256 = hashlib.sha256(picture(40)).hexdigest()
    files: list[Path] = []

    def all_are_there() -> bool:
        paths = installation.data.rglob(f"{sha256}*")
        files[:] = [path for path in paths if "queries" not in path.parts]
        return len(files) == 4

    wait_until(all_are_there, "there is no original, or no features, or fewer than two thumbnails")
    assert admin.delete(f"/images/{gone}/").status_code == 204
    assert admin.get(f"/images/{gone}/").status_code == 404
    assert all(path.exists() for path in files)  # for a day
    installation.manage("shell", "-c", A_DAY_LATER)
    assert not any(path.exists() for path in files)
    results = admin.search(picture(40), dataset=dataset).json()["results"]
    assert [match["image"]["id"] for match in results] == [remaining]


def test_deleting_a_dataset_removes_its_files(
    installation: Installation, admin: Client, dataset: str, picture: Picture
) -> None:
    admin.finished(admin.upload(dataset, ("a.jpg", picture(42)))["job"])
    admin.delete(f"/datasets/{dataset}/")
    installation.manage("shell", "-c", A_DAY_LATER)
    sha256 = hashlib.sha256(picture(42)).hexdigest()
    assert not list(installation.data.rglob(f"{sha256}*"))


def test_edit_title_and_metadata(admin: Client, dataset: str, picture: Picture) -> None:
    answer = admin.upload(dataset, ("a.jpg", picture(50)))
    path = f"/images/{answer['items'][0]['id']}/"
    admin.finished(answer["job"])
    changed = admin.patch(path, json={"title": "<b>Bold</b>", "metadata": {"a": [1, None]}})
    assert (changed.json()["title"], changed.json()["metadata"]) == (
        "<b>Bold</b>",
        {"a": [1, None]},
    )
    assert admin.patch(path, json={"state": "failed"}).status_code == 400
    assert admin.get(path).json()["state"] == "ready"
    assert admin.patch(path, json={"metadata": [1]}).status_code == 400
    assert admin.patch(path, json={"title": "x" * 256}).status_code == 400


def test_images_come_in_pages_newest_first(admin: Client, dataset: str, picture: Picture) -> None:
    answer = admin.upload(dataset, *[(f"{n}.jpg", picture(60 + n)) for n in range(5)])
    admin.finished(answer["job"])
    ids: list[int] = []
    page = admin.get(f"/datasets/{dataset}/images/", params={"page_size": 2}).json()
    while True:
        ids += [row["id"] for row in page["results"]]
        if page["next"] is None:
            break
        page = admin.session.get(page["next"], timeout=30).json()
    assert ids == sorted((item["id"] for item in answer["items"]), reverse=True)


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"metadata": "{not json"}, 400, "invalid"),
        ({"metadata": "[1]"}, 400, "invalid"),
        ({"metadata": json.dumps({"x": "y" * 20_000})}, 400, "invalid"),
        ({"metadata": '{"x": NaN}'}, 400, "invalid"),
        ({"metadata": '{"x": "\\u0000"}'}, 400, "invalid"),
        ({"metadata": '{"x": "\\ud800"}'}, 400, "invalid"),
        ({"metadata": '{"x": %s}' % ("[" * 20 + "]" * 20)}, 400, "invalid"),
        ({"metadata": "[" * 10_000}, 400, "invalid"),
        ({"title": "x" * 256}, 400, "invalid"),
    ],
)
def test_wrong_fields_are_refused(
    admin: Client, dataset: str, picture: Picture, fields: dict[str, str], status: int, code: str
) -> None:
    files = [("file", ("a.jpg", picture(70)))]
    refused = admin.post(f"/datasets/{dataset}/images/", files=files, data=fields)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert admin.get(f"/datasets/{dataset}/").json()["counts"]["total"] == 0


def test_metadata_of_all_kinds_is_kept(admin: Client, dataset: str, picture: Picture) -> None:
    metadata = {"a": [1, 2.5, None, True, {"b": "\\u0000 is six characters"}], "ü": "🦒", "": ""}
    answer = admin.upload(dataset, ("a.jpg", picture(71)), metadata=json.dumps(metadata))
    body = admin.get(f"/images/{answer['items'][0]['id']}/").json()
    assert body["metadata"] == metadata


def test_metadata_sent_as_a_file_is_refused(admin: Client, dataset: str, picture: Picture) -> None:
    files = [("file", ("a.jpg", picture(72))), ("metadata", ("m.json", b"{}"))]
    refused = admin.post(f"/datasets/{dataset}/images/", files=files)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")


def test_a_body_without_its_length_is_refused(admin: Client, dataset: str) -> None:
    headers = {"Content-Type": "application/json"}
    refused = admin.post("/search/", data=iter([b'{"image_id": 1}']), headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (411, "length_required")


@pytest.mark.parametrize("position", ["abc", "", "1.5", "nan", "\0"])
def test_a_forged_cursor_leads_nowhere(anyone: Client, position: str) -> None:
    cursor = base64.b64encode(urlencode({"p": position}).encode()).decode()
    answer = anyone.get("/datasets/demo/images/", params={"cursor": cursor})
    assert answer.status_code in (200, 400)


def test_a_dataset_deleted_while_its_pictures_are_processed_leaves_others_alone(
    admin: Client, dataset: str, picture: Picture
) -> None:
    doomed = admin.dataset("doomed")
    pictures = [(f"{n}.jpg", picture(2000 + n)) for n in range(40)]
    admin.upload(doomed, *pictures)
    job = admin.upload(dataset, *pictures)["job"]
    assert admin.delete(f"/datasets/{doomed}/").status_code == 204
    assert admin.finished(job)["ready"] == 40


def test_no_file_and_too_many_files(admin: Client, dataset: str) -> None:
    path = f"/datasets/{dataset}/images/"
    nothing = admin.post(path, files=[("picture", ("a.jpg", b"x"))])
    assert (nothing.status_code, nothing.json()["code"]) == (400, "no_file")
    assert "`file`" in nothing.json()["detail"]
    assert admin.post(path, json={}).status_code == 415
    many = admin.post(path, files=[("file", (f"{n}.jpg", b"x")) for n in range(101)])
    assert (many.status_code, many.json()["code"]) == (400, "too_many_files")
    assert "100" in many.json()["detail"]


def test_a_hundred_files_at_once(admin: Client, dataset: str, picture: Picture) -> None:
    answer = admin.upload(dataset, *[(f"{n}.jpg", picture(1000 + n)) for n in range(100)])
    job = admin.finished(answer["job"])
    assert (job["total"], job["ready"]) == (100, 100)
    assert admin.get(f"/datasets/{dataset}/").json()["counts"]["ready"] == 100


def test_names_that_look_like_paths_stay_names(
    installation: Installation, admin: Client, dataset: str, picture: Picture
) -> None:
    answer = admin.upload(dataset, ("../../../../tmp/lookalike-escaped.jpg", picture(80)))
    admin.finished(answer["job"])
    body = admin.get(f"/images/{answer['items'][0]['id']}/").json()
    assert body["state"] == "ready"
    assert not list(installation.data.rglob("*escaped*"))


def test_two_clients_see_each_other_arrive(
    admin: Client, reader: Client, dataset: str, picture: Picture
) -> None:
    answer = admin.upload(dataset, ("a.jpg", picture(90)))
    wait_until(
        lambda: reader.get(f"/datasets/{dataset}/").json()["counts"]["ready"] == 1, "not ready"
    )
    assert reader.job(answer["job"])["ready"] == 1
