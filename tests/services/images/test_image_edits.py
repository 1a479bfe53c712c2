"""Edits of titles, labels, tags and metadata come undone, by API and page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from searchapp.models import Image, ImageEdit, ImportJob, StaleScalars
from searchapp.services.datasets import dataset_deletion
from searchapp.services.images import bulk_actions, image_deletion, image_edits
from tests.factories import add_image, add_rows
from tests.permissions.conftest import House
from tests.services.imports.conftest import run

LABEL = {"action": "label", "label": "new", "filter": {"state": "ready"}}


def bulk(client: Client, body: dict[str, Any]) -> Any:
    answer = client.post("/api/v1/datasets/letters/bulk/", body, content_type="application/json")
    return answer.status_code, answer.json()


def labels(house: House) -> list[str]:
    return list(house.dataset.images.order_by("pk").values_list("label", flat=True))


def test_a_label_of_many_comes_back(house: House) -> None:
    for label in ("a", "", "new"):
        add_image(house.dataset, label=label)
    client = house.client("editor")
    status, body = bulk(client, LABEL)
    assert (status, body["number"], labels(house)) == (200, 3, ["new"] * 3)
    StaleScalars.objects.all().delete()
    status, undone = bulk(client, {"action": "undo", "edit": body["edit"]})
    # The third was labelled so before: nothing of it was changed.
    assert (status, undone["number"], undone["edit"]) == (200, 2, None)
    assert labels(house) == ["a", "", "new"]
    assert StaleScalars.objects.count() == 2  # filters hear of it
    assert bulk(client, {"action": "undo", "edit": body["edit"]})[1]["code"] == "nothing_to_undo"


def test_tags_come_back_in_their_order(house: House) -> None:
    image = add_image(house.dataset, tags=["b", "a"])
    other = add_image(house.dataset, tags=["c"])
    client = house.client("editor")
    tags = {"action": "tags", "add_tags": ["z"], "remove_tags": ["b"]}
    status, body = bulk(client, tags | {"ids": [image.pk, other.pk]})
    assert (status, body["number"]) == (200, 2)
    assert list(house.dataset.images.order_by("pk").values_list("tags", flat=True)) == [
        ["a", "z"], ["c", "z"],
    ]  # fmt: skip
    assert bulk(client, {"action": "undo", "edit": body["edit"]})[1]["number"] == 2
    image.refresh_from_db()
    assert image.tags == ["b", "a"]


def test_an_edit_of_one_image_comes_back(house: House) -> None:
    image = add_image(house.dataset, title="old", metadata={"year": 1969})
    client = house.client("editor")
    address = f"/api/v1/images/{image.pk}/"
    changes = {"title": "new", "label": "x", "tags": ["y"], "metadata": {}}
    body = client.patch(address, changes, content_type="application/json").json()
    assert {name: body[name] for name in changes} == changes
    assert bulk(client, {"action": "undo", "edit": body["edit"]})[1]["number"] == 1
    image.refresh_from_db()
    assert (image.title, image.label, image.tags) == ("old", "", [])
    assert image.metadata == {"year": 1969}
    same = client.patch(address, {"title": "old"}, content_type="application/json").json()
    assert same["edit"] is None


def test_what_was_changed_since_stays(house: House) -> None:
    image = add_image(house.dataset, label="a", tags=["t"])
    edit = image_edits.edit_image(image, {"label": "b", "tags": []})
    assert edit is not None
    image_edits.edit_image(image, {"label": "c"})
    assert image_edits.undo(house.dataset, [image.pk], edit) == 1
    image.refresh_from_db()
    assert (image.label, image.tags) == ("c", ["t"])


def test_whose_edit_it_is(house: House) -> None:
    """Viewers cannot undo; nobody can by way of another dataset."""
    image = add_image(house.dataset)
    edit = image_edits.edit_image(image, {"label": "b"})
    undo = {"action": "undo", "edit": edit}
    assert bulk(house.client("viewer"), undo)[0] == 403
    assert bulk(house.client("outsider"), undo)[0] == 404
    client = house.client("outsider")
    client.post("/api/v1/datasets/", {"name": "Own"}, content_type="application/json")
    answer = client.post("/api/v1/datasets/own/bulk/", undo, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (410, "nothing_to_undo")
    assert labels(house) == ["b"]


def test_an_edit_is_kept_for_a_day(house: House) -> None:
    image = add_image(house.dataset)
    edit = image_edits.edit_image(image, {"label": "b"})
    ImageEdit.objects.update(created=timezone.now() - image_deletion.UNDO - timedelta(minutes=1))
    status, body = bulk(house.client("editor"), {"action": "undo", "edit": edit})
    assert (status, body["code"]) == (410, "nothing_to_undo")
    assert not dataset_deletion.purge()
    assert not ImageEdit.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {"action": "undo"},
        {"action": "undo", "edit": "x"},
        {"action": "undo", "edit": "6d6f6e6b-6579-4d6f-a6e6-b65790d6f6e6", "ids": [1]},
        {"action": "delete", "edit": "6d6f6e6b-6579-4d6f-a6e6-b65790d6f6e6", "ids": [1]},
    ],
)
def test_bad_requests_to_undo(house: House, body: dict[str, Any]) -> None:
    status, answer = bulk(house.client("editor"), body)
    assert (status, answer["code"]) == (400, "invalid")


def test_more_than_at_once_is_a_job_that_comes_undone_by_a_job(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "AT_ONCE", 2)
    add_rows(house.dataset, 5, label="a")
    client = house.client("editor")
    status, body = bulk(client, LABEL)
    assert (status, body["number"]) == (202, 5)
    job = ImportJob.objects.get(pk=body["job"])
    assert b"Undo" not in client.get(f"/jobs/{job.pk}/").content  # it is not done yet
    run(job)
    assert labels(house) == ["new"] * 5
    page = client.get(f"/jobs/{job.pk}/").content.decode()
    address = f"/datasets/letters/undo/?edit={body['edit']}"
    assert f'action="{address}"' in page
    undo = client.post(address)
    assert undo.status_code == 302
    again = ImportJob.objects.exclude(pk=job.pk).get()
    assert undo["Location"] == f"/jobs/{again.pk}/"
    run(again)
    assert labels(house) == ["a"] * 5
    assert b"Undo" not in client.get(f"/jobs/{job.pk}/").content
    assert b"Undo</button>" not in client.get(f"/jobs/{again.pk}/").content


def test_a_repeated_step_keeps_the_first_values(house: House) -> None:
    """A worker that was killed between the images and the ledger does the same once more."""
    (image,) = add_rows(house.dataset, 1, label="a")
    change = bulk_actions.Change(bulk_actions.Action.LABEL, label="b", edit=image_edits.new_edit())
    for _ in range(2):
        assert bulk_actions.apply(house.dataset, [image.pk], change) == 1
    assert image_edits.undo(house.dataset, [image.pk], change.edit) == 1
    assert labels(house) == ["a"]


def test_pages_offer_to_undo(house: House) -> None:
    image = add_image(house.dataset, title="old", label="a")
    client = house.client("editor")
    form = {"title": "new", "label": "", "words": "x, y"}
    page = client.post(f"/images/{image.pk}/edit/", form, follow=True).content.decode()
    edit = ImageEdit.objects.get().edit
    assert f'action="/datasets/letters/undo/?edit={edit}"' in page
    undone = client.post(f"/datasets/letters/undo/?edit={edit}", follow=True)
    assert "1 picture is as before." in undone.content.decode()
    assert undone.redirect_chain[-1][0] == f"/images/{image.pk}/"  # where one was
    image.refresh_from_db()
    assert (image.title, image.label, image.tags) == ("old", "a", [])
    form = {"action": "label", "label": "b", "image": str(image.pk)}
    page = client.post("/datasets/letters/bulk/", form, follow=True).content.decode()
    edit = ImageEdit.objects.get().edit
    image_edits.edit_image(image, {"label": "c"})
    page = client.post(f"/datasets/letters/undo/?edit={edit}", follow=True).content.decode()
    assert "changed again since" in page
    assert Image.objects.get().label == "c"
