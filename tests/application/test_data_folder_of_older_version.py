"""A data folder that version 0.1.0 left behind starts, and answers as it did."""

from __future__ import annotations

import json
import signal
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from harness.installation import Client, Installation
from tests.application.conftest import stop_whole
from tests.application.older_version.make import ENVIRONMENT, HERE, SLUG, images, search

pytestmark = pytest.mark.application
EXPECTED: dict[str, Any] = json.loads((HERE / "data_folder_0.1.0.json").read_text())


@pytest.fixture(scope="module")
def upgraded() -> Iterator[Installation]:
    """This version's application, running on the folder."""
    application = Installation(**ENVIRONMENT)
    try:
        with tarfile.open(HERE / "data_folder_0.1.0.tar.xz") as archive:
            archive.extractall(application.data, filter="data")
        yield application.start()
        stop_whole(application, signal.SIGINT)
    finally:
        application.remove()


@pytest.fixture
def owner(upgraded: Installation) -> Client:
    """The user who made the dataset, with the key of then."""
    return Client(upgraded.url, EXPECTED["key"])


def test_its_pictures_are_listed_with_labels_tags_and_metadata(owner: Client) -> None:
    (dataset,) = owner.get("/datasets/").json()["results"]
    assert (dataset["slug"], dataset["visibility"]) == (SLUG, "public")
    assert dataset["counts"]["ready"] == 30
    assert dataset["counts"]["rejected"] == 1
    assert images(owner) == EXPECTED["images"]


@pytest.mark.parametrize("expected", EXPECTED["searches"], ids=lambda one: "+".join(one["fields"]))
def test_searches_find_the_same(expected: dict[str, Any], upgraded: Installation) -> None:
    then, now = expected["answer"], search(Client(upgraded.url), **expected["fields"])
    assert now["fingerprint"] == then["fingerprint"]
    names = [(match["id"], match["kind"]) for match in then["results"]]
    assert [(match["id"], match["kind"]) for match in now["results"]] == names
    scores = [match["score"] for match in then["results"]]
    assert [match["score"] for match in now["results"]] == pytest.approx(scores, abs=1e-4)
    assert now["cutoff"]["kinds"] == then["cutoff"]["kinds"]
    assert now["cutoff"]["score"] == pytest.approx(then["cutoff"]["score"], abs=2e-4)  # 4 digits
    if then["vector_remembered"]:
        assert now["vector_remembered"]
        edits = [match["edits"] for match in then["results"]]
        assert [match["edits"] for match in now["results"]] == edits


def test_thumbnails_and_originals_are_served(upgraded: Installation) -> None:
    ready = [image for image in EXPECTED["images"] if image["state"] == "ready"]
    for image in ready[:3]:
        for file, kind in (("256.webp", "webp"), ("512.webp", "webp"), ("original", "jpeg")):
            answer = requests.get(f"{upgraded.url}/media/{image['id']}/{file}", timeout=60)
            assert answer.status_code == 200
            assert answer.headers["Content-Type"] == f"image/{kind}"
            assert file != "original" or len(answer.content) == image["bytes"]


def test_the_page_of_a_stored_query_is_there(upgraded: Installation) -> None:
    page = requests.get(f"{upgraded.url}/search/{EXPECTED['query']}/", timeout=60)
    assert page.status_code == 200
    assert "mirrored.jpg" in page.text  # the best match, which has no title


def test_an_audit_finds_nothing(upgraded: Installation) -> None:
    audit = upgraded.manage("audit", "--deep", check=False)
    assert audit.returncode == 0, audit.stdout
    assert audit.stdout.startswith("0 found, 0 repaired, 0 left; looked at 30 pictures")
