"""The same services by page, API and command."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from searchapp.models import Dataset, Image, ImageState, Role
from searchapp.services.images import bulk_actions, image_deletion
from tests.factories import add_image, add_rows
from tests.permissions.conftest import House


def send(client: Client, method: str, path: str, body: Any = None) -> Any:
    sent = "" if method == "delete" and body is None else body
    answer = getattr(client, method)(f"/api/v1{path}", sent, content_type="application/json")
    return answer.status_code, answer.json() if answer.content else None


def command(*words: str) -> str:
    output = StringIO()
    call_command("dataset", *words, stdout=output)
    return output.getvalue()


def test_a_former_slug_answers_everywhere(house: House) -> None:
    client = house.client("owner")
    status, body = send(client, "patch", "/datasets/letters/", {"slug": "post"})
    assert (status, body["slug"]) == (200, "post")
    moved = client.get("/datasets/letters/?label=x")
    assert (moved.status_code, moved["Location"]) == (302, "/datasets/post/?label=x")
    assert client.post("/datasets/letters/settings/", {"name": "x"}).status_code == 307
    assert client.get("/?dataset=letters").status_code == 200
    status, body = send(client, "get", "/datasets/letters/")
    assert (status, body["slug"]) == (200, "post")
    assert house.client("outsider").get("/datasets/letters/").status_code == 404
    refused = client.post("/datasets/post/settings/", {"slug": "All", "name": "x"})
    assert "A slug has lower-case letters" in refused.content.decode()


def test_members_by_api(house: House) -> None:
    client = house.client("holder")
    assert send(client, "put", "/datasets/letters/members/outsider/", {"role": "editor"}) == (
        200, {"username": "outsider", "role": "editor", "is_holder": False},
    )  # fmt: skip
    status, body = send(client, "put", "/datasets/letters/members/holder/", {"role": "viewer"})
    assert (status, body["code"]) == (409, "is_holder")
    status, body = send(client, "post", "/datasets/letters/transfer/", {"username": "outsider"})
    assert (status, body[0]) == (
        200, {"username": "outsider", "role": "owner", "is_holder": True},
    )  # fmt: skip
    status, body = send(client, "post", "/datasets/letters/transfer/", {"username": "holder"})
    assert (status, body["code"]) == (403, "not_holder")
    assert send(client, "delete", "/datasets/letters/members/holder/") == (204, None)
    assert send(client, "get", "/datasets/letters/")[0] == 404


def test_members_on_the_page(house: House) -> None:
    client = house.client("owner")
    page = client.post("/datasets/letters/members/add/", {"username": "nobody", "role": "viewer"})
    assert page.status_code == 400
    assert "There is nobody with the username" in page.content.decode()
    change = "/datasets/letters/members/change/"
    page = client.post(change, {"username": "viewer", "action": "transfer"})
    assert page.status_code == 403  # owners manage; the holder alone gives away
    client.post(change, {"username": "viewer", "action": "role", "role": "editor"})
    assert house.dataset.role_of(house.user("viewer")) == Role.EDITOR
    client.post(change, {"username": "viewer", "action": "remove"})
    assert house.dataset.role_of(house.user("viewer")) is None
    assert house.client("editor").post("/datasets/letters/leave/").status_code == 302
    assert house.dataset.role_of(house.user("editor")) is None


def test_whoever_takes_themselves_out_is_led_to_where_they_may_be(house: House) -> None:
    change = {"username": "owner", "action": "remove"}
    page = house.client("owner").post("/datasets/letters/members/change/", change, follow=True)
    assert page.status_code == 200
    assert "no member any more" in page.content.decode()


def test_bulk_by_api(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    client = house.client("editor")
    rows = add_rows(house.dataset, 4)
    path = "/datasets/letters/bulk/"
    some = {"ids": [row.pk for row in rows[:2]]}
    status, body = send(client, "post", path, {"action": "delete", **some})
    assert (status, body["number"], body["job"]) == (200, 2, None)
    undo = {"state": "deleted", "deleted_at": body["deleted_at"]}
    status, body = send(client, "post", path, {"action": "restore", "filter": undo})
    assert (status, body["number"]) == (200, 2)
    monkeypatch.setattr(bulk_actions, "AT_ONCE", 1)
    tagged = {"action": "tags", "add_tags": ["a"], "filter": {"state": "all"}}
    status, body = send(client, "post", path, tagged)
    assert (status, body["number"]) == (202, 4)
    assert body["job"]
    for wrong in (
        {"action": "delete"},
        {"action": "delete", "ids": [], "filter": {}},
        {"action": "fly", "ids": [1]},
        {"action": "copy", "ids": [1]},
        {"action": "label", "ids": [1], "target": "x"},
        {"action": "delete", "ids": [2**70]},
        {"action": "delete", "filter": {"state": "all", "deleted_at": "yesterday"}},
    ):
        assert send(client, "post", path, wrong)[0] == 400, wrong


def test_deleted_images_are_listed_for_editors_who_ask(house: House) -> None:
    remaining, gone = add_rows(house.dataset, 2)
    image_deletion.delete_image(gone)
    path = "/datasets/letters/images/"
    for who in ("viewer", "editor"):
        _, body = send(house.client(who), "get", path)
        assert [row["id"] for row in body["results"]] == [remaining.pk]
    assert send(house.client("viewer"), "get", f"{path}?state=deleted")[0] == 403
    _, body = send(house.client("editor"), "get", f"{path}?state=deleted")
    assert [row["id"] for row in body["results"]] == [gone.pk]


def test_label_and_tags_of_one_image(house: House) -> None:
    image = add_image(house.dataset)
    client = house.client("editor")
    status, body = send(
        client, "patch", f"/images/{image.pk}/", {"label": "cat", "tags": ["a", "a", " b "]}
    )
    assert (status, body["label"], body["tags"]) == (200, "cat", ["a", "b"])
    client.post(f"/images/{image.pk}/edit/", {"title": "T", "label": "dog", "words": "c, d"})
    image.refresh_from_db()
    assert (image.title, image.label, image.tags) == ("T", "dog", ["c", "d"])


def test_deleting_on_the_page_can_be_undone_right_away(house: House) -> None:
    image = add_image(house.dataset)
    client = house.client("editor")
    page = client.post(f"/images/{image.pk}/delete/", follow=True).content.decode()
    assert "is deleted." in page
    assert "Deleted <span" in page
    address = page.split('action="/datasets/letters/undo/')[1].split('"')[0]
    confirmation = client.post(f"/datasets/letters/undo/{address}", follow=True).content.decode()
    assert "1 picture is back." in confirmation
    image.refresh_from_db()
    assert image.state == ImageState.RECEIVED
    assert client.get(f"/media/{image.pk}/256.webp").status_code == 200


def test_deleting_a_dataset_asks_for_the_number(house: House) -> None:
    add_rows(house.dataset, 1200)
    client = house.client("owner")
    for wrong in ("", "7", "letters", "-1200", "9" * 30):
        page = client.post("/datasets/letters/delete/", {"number": wrong})
        assert page.status_code == 400, wrong
    page = client.post("/datasets/letters/delete/", {"number": "1,200"}, follow=True)
    assert "are deleted" in page.content.decode()
    assert "Letters" in client.get("/deleted/").content.decode()
    assert "Letters" not in house.client("editor").get("/deleted/").content.decode()
    client.post(f"/deleted/{house.dataset.pk}/restore/")
    assert client.get("/datasets/letters/").status_code == 200


def test_the_command(house: House) -> None:
    assert command("create", "Maps", "--user", "holder") == "maps\n"
    assert "maps\t0 of 0 ready\tprivate\tholder\tMaps" in command("list")
    assert "viewer\teditor" in command("member", "maps", "viewer", "--role", "editor")
    assert command("member", "maps", "viewer", "--remove") == "holder\towner\tbelongs to them\n"
    with pytest.raises(CommandError, match="Type 0"):
        command("delete", "maps", "--pictures", "3")
    command("delete", "maps", "--pictures", "0")
    assert "maps\t" in command("list", "--deleted")
    assert command("restore", "maps") == "maps\n"
    assert command("copy", "letters", "Twin", "--user", "holder").startswith("twin\t")
    command("member", "twin", "outsider", "--transfer")
    assert Dataset.objects.get(slug="twin").owner == house.user("outsider")
    for wrong in (["delete", "none", "--pictures", "0"], ["restore", "none"],
                  ["create", "x", "--user", "none"], ["member", "twin", "--remove"]):  # fmt: skip
        with pytest.raises(CommandError):
            command(*wrong)
    assert Image.objects.count() == 0
