"""A dataset's Import tab: plain files, addresses, places of the server; and what scripts ask."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from searchapp.infra import storage
from searchapp.models import Image, ImportJob, ImportSource, ItemState, JobState, Membership
from tests.factories import add_image
from tests.pages.conftest import House
from tests.pictures import plain_picture

URL = "/datasets/birds/import/"
JSON = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def folders(settings: Any, tmp_path: Path) -> None:
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.IMPORT_ROOTS = [tmp_path / "root"]
    (tmp_path / "root" / "cats").mkdir(parents=True)


def test_the_tab_is_for_editors(house: House) -> None:
    assert reverse("dataset-import", args=["birds"]) == URL
    assert house.client("owner").get(URL).status_code == 200
    assert house.client("outsider").get(URL).status_code == 403
    assert house.client("anonymous").get(URL)["Location"].startswith("/login/")
    assert house.client("outsider").post(URL, {"addresses": "x"}).status_code == 403
    Membership.objects.create(dataset=house.public, user=house.outsider, role="editor")
    assert house.client("outsider").get(URL).status_code == 200
    for who, there in (("owner", True), ("anonymous", False)):
        assert (URL in house.client(who).get("/datasets/birds/").content.decode()) is there


def test_adding_pictures_by_a_plain_form(house: House) -> None:
    client = house.client("owner")
    files = [SimpleUploadedFile("a.png", plain_picture()), SimpleUploadedFile("empty.png", b"")]
    answer = client.post(
        URL, {"file": files, "label": "wren", "tags": "a, b", "metadata": '{"y": 1}'}
    )
    job = ImportJob.objects.get()
    assert answer["Location"] == reverse("job", args=[job.pk])
    assert not job.is_open
    page = client.get(answer["Location"]).content.decode()
    assert "This file is empty" in page
    assert page.index("Not added") < page.index("a.png</a>")  # what went wrong comes first
    image = Image.objects.get(name="a.png")
    assert (image.label, image.tags, image.metadata) == ("wren", ["a", "b"], {"y": 1})


def test_a_dry_run_adds_nothing(house: House) -> None:
    files = [SimpleUploadedFile("a.png", plain_picture())]
    answer = house.client("owner").post(URL, {"file": files, "dry_run": "1"})
    job = ImportJob.objects.get()
    assert job.state == JobState.FINISHED
    assert job.items.get().state == ItemState.CHECKED
    assert not Image.objects.exists()
    page = house.client("owner").get(answer["Location"]).content.decode()
    assert "1 of 1 would be added" in page


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({}, "Choose one picture or more first."),
        ({"folder": "/etc"}, "/etc"),
        ({"max_side": "3", "addresses": "x"}, "max_side"),
        ({"metadata": "{", "addresses": "x"}, "The metadata must be a JSON object"),
        ({"metadata": "[" * 100_000, "addresses": "x"}, "The metadata must be a JSON object"),
        ({"on_duplicate": "explode", "addresses": "x"}, "on_duplicate is one of"),
    ],
)
def test_what_cannot_be_is_said_at_the_form(
    house: House, form: dict[str, str], sentence: str
) -> None:
    answer = house.client("owner").post(URL, form)
    page = answer.content.decode()
    assert answer.status_code == 400
    assert sentence in page
    assert 'role="alert"' in page
    if "folder" in form:
        assert 'value="/etc"' in page  # what was typed is not lost
    assert not ImportJob.objects.exists()


def test_too_many_files_are_refused_with_the_number(house: House, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FILES = 2
    settings.MAX_FILES = 2
    files = [SimpleUploadedFile(f"{place}.png", plain_picture(place)) for place in range(3)]
    answer = house.client("owner").post(URL, {"file": files})
    assert answer.status_code == 400
    assert "At most 2 files fit into one request." in answer.content.decode()
    assert not Image.objects.exists()


def test_a_folder_of_the_server(house: House, settings: Any) -> None:
    folder = settings.IMPORT_ROOTS[0] / "cats"
    answer = house.client("owner").post(URL, {"folder": str(folder), "label_from_folder": "1"})
    source = ImportSource.objects.select_related("job").get()
    assert answer["Location"] == source.job.get_absolute_url()
    assert (source.kind, source.job.kind, source.job.name) == ("folder", "folder", "cats")
    assert source.job.options["label_from_folder"] is True


def test_folders_are_offered_where_there_are_any(house: House, settings: Any) -> None:
    assert "A folder of the server" in house.client("owner").get(URL).content.decode()
    settings.IMPORT_ROOTS = []
    assert "A folder of the server" not in house.client("owner").get(URL).content.decode()


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/a,b.jpg\n\n https://example.org/c.jpg ",
        "url,title\nhttps://example.org/a.jpg,One",
    ],
)
def test_pasted_addresses_are_a_manifest(house: House, text: str) -> None:
    house.client("owner").post(URL, {"addresses": text})
    source = ImportSource.objects.select_related("job").get()
    assert (source.kind, source.name) == ("manifest", "addresses.csv")
    assert not source.job.is_open
    file = storage.open_import(source.location.removeprefix("kept:"))
    with file:
        lines = file.read().decode().splitlines()
    assert lines[0].startswith("url")
    assert len(lines) == text.count("https") + 1


def test_scripts_get_an_open_import(house: House) -> None:
    client = house.client("owner")
    answer = client.post(URL, {"name": "holidays", "label": "sea"}, headers=JSON)
    assert answer.status_code == 201
    job = ImportJob.objects.get()
    assert answer.json() == {"job": str(job.pk), "page": f"/jobs/{job.pk}/"}
    assert (job.is_open, job.name, job.options["label"]) == (True, "holidays", "sea")
    refused = client.post(URL, {"max_side": "x"}, headers=JSON)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_options")
    # What was left unfinished is offered, here and on the page of the pictures.
    for page in (URL, "/datasets/birds/"):
        assert f'data-unfinished="{job.pk}"' in client.get(page).content.decode()
    client.post(f"/jobs/{job.pk}/close/")
    assert "data-unfinished" not in client.get(URL).content.decode()


def test_the_same_picture_again_is_told(house: House) -> None:
    data = plain_picture()
    add_image(house.public, data)
    house.client("owner").post(URL, {"file": [SimpleUploadedFile("again.png", data)]})
    item = ImportJob.objects.get().items.get()
    assert item.duplicate
    assert item.image is not None
    assert item.image.sha256 == hashlib.sha256(data).hexdigest()
    assert Image.objects.count() == 1


def test_an_empty_dataset_leads_to_its_import(house: House) -> None:
    page = house.client("owner").get("/datasets/birds/").content.decode()
    assert "This dataset is empty" in page
    assert "Import pictures" in page
