"""What a request has and nothing reads is refused, at every address of the API."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.urls import reverse

from searchapp.models import Image, ImageState
from tests.factories import add_image
from tests.permissions.conftest import House
from tests.permissions.test_matrix import DOORS, Door
from tests.pictures import plain_picture

OF_THE_API = [door for door in DOORS if door.name.startswith("api-")]
# Bytes that go on, not fields.
WITHOUT_FIELDS = {"api-upload", "api-uploads"}
OTHERS = [
    Door("api-datasets", "get", set(), ()),
    Door("api-datasets", "post", set(), (), {"name": "x"}),
    Door("api-search", "post", set(), (), {"image_id": "image"}),
    Door("api-jobs", "get", set(), ()),
    Door("api-pipelines", "get", set(), ()),
    Door("api-audits", "get", set(), ()),
    Door("api-audits", "post", set(), ()),
]


def ask(house: House, door: Door, keys: dict[str, Any], *, more: str = "", field: str = "") -> Any:
    """Send what the door expects, with one more parameter or field."""
    address = reverse(door.name, args=[keys.get(key, key) for key in door.keys])
    body = {name: keys.get(str(value), value) for name, value in door.body.items()}
    client = house.client("superuser")
    if door.name == "api-upload":
        client = house.client("editor")
    if door.method in ("get", "head"):
        query = {**body, **({more: "1"} if more else {})}
        return getattr(client, door.method)(address, query, headers=door.headers)
    query_string = f"?{more}=1" if more else ""
    if door.name == "api-images":  # a form
        return client.post(address + query_string, body | ({field: "1"} if field else {}))
    return client.generic(
        door.method.upper(),
        address + query_string,
        json.dumps(body | ({field: 1} if field else {}), default=str),
        content_type="application/json",
        headers=door.headers,
    )


@pytest.mark.slow
def test_unknown_parameters_are_refused_everywhere(house: House, keys: dict[str, Any]) -> None:
    for door in [*OF_THE_API, *OTHERS]:
        answer = ask(house, door, keys, more="no_such")
        assert answer.status_code == 400, (str(door), answer.status_code, answer.content)
        if door.method != "head":
            assert list(answer.json()["errors"]) == ["no_such"], str(door)


@pytest.mark.slow
def test_unknown_fields_are_refused_everywhere(house: House, keys: dict[str, Any]) -> None:
    add_image(house.dataset)
    before = list(Image.objects.values_list("pk", "state", "label"))
    for door in [*OF_THE_API, *OTHERS]:
        if door.method in ("get", "head") or door.name in WITHOUT_FIELDS:
            continue
        answer = ask(house, door, keys, field="no_such")
        assert answer.status_code == 400, (str(door), answer.status_code, answer.content)
        if door.name != "api-images":  # which misses its file first
            assert list(answer.json()["errors"]) == ["no_such"], str(door)
    assert list(Image.objects.values_list("pk", "state", "label")) == before


@pytest.mark.parametrize(
    ("body", "named", "hint"),
    [
        ({"action": "delete", "filter": {"stat": "rejected"}}, "filter", "'state'"),
        ({"action": "label", "lable": "x", "filter": {"state": "ready"}}, "lable", "'label'"),
        ({"action": "delete", "filter": {}}, "filter", "required"),
        ({"action": "delete", "filter": {"label": "x"}}, "filter", "required"),
        ({"action": "delete", "ids": [1], "id": [1]}, "id", "'ids'"),
    ],
)
def test_a_slip_deletes_and_changes_nothing(
    house: House, body: dict[str, Any], named: str, hint: str
) -> None:
    image = add_image(house.dataset, label="kept")
    answer = house.client("editor").post(
        "/api/v1/datasets/letters/bulk/", body, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert list(answer.json()["errors"]) == [named]
    assert hint in answer.json()["detail"]
    image.refresh_from_db()
    assert (image.state, image.label) == (ImageState.READY, "kept")


def test_a_label_is_given_or_taken_away_only_in_words(house: House) -> None:
    image = add_image(house.dataset, label="kept")
    body: dict[str, Any] = {"action": "label", "filter": {"state": "ready"}}
    client = house.client("editor")
    address = "/api/v1/datasets/letters/bulk/"
    assert client.post(address, body, content_type="application/json").status_code == 400
    body["label"] = ""
    assert client.post(address, body, content_type="application/json").status_code == 200
    image.refresh_from_db()
    assert image.label == ""


def test_what_only_answers_have_cannot_be_set(house: House) -> None:
    image = add_image(house.dataset)
    answer = house.client("editor").patch(
        f"/api/v1/images/{image.pk}/", {"state": "failed"}, content_type="application/json"
    )
    assert answer.status_code == 400
    assert answer.json()["errors"] == {"state": ["This cannot be set."]}


def test_a_misspelt_field_of_an_upload_is_named(house: House) -> None:
    file = io.BytesIO(plain_picture(1))
    file.name = "a.png"
    answer = house.client("editor").post(
        "/api/v1/datasets/letters/images/", {"file": file, "titel": "x"}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert "Did you mean 'title'?" in answer.json()["detail"]
    assert not house.dataset.images.exists()


@pytest.mark.parametrize("size", ["abc", "0", "-1", "201", "1e2", "٣", ""])
def test_a_page_size_that_is_none_is_refused(house: House, size: str) -> None:
    answer = house.client("viewer").get("/api/v1/datasets/", {"page_size": size})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["page_size"])
