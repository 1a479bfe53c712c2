"""`/api/v1/datasets/`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.installation import Client

STATES = {"received", "processing", "ready", "rejected", "failed", "total"}


def test_the_demo_is_public_and_whole(anyone: Client) -> None:
    body = anyone.get("/datasets/demo/").json()
    assert body["visibility"] == "public"
    assert body["counts"] == dict.fromkeys(STATES, 0) | {"ready": 228, "total": 228}


def test_a_dataset_needs_a_name_only(admin: Client) -> None:
    response = admin.post("/datasets/", json={"name": "Été à Paris!"})
    assert response.status_code == 201
    body = response.json()
    assert (body["slug"], body["visibility"], body["description"]) == ("ete-a-paris", "private", "")
    again = admin.post("/datasets/", json={"name": "Été à Paris!"}).json()
    assert again["slug"] == "ete-a-paris-2"
    assert admin.get(f"/datasets/{again['slug']}/").json()["name"] == "Été à Paris!"


def test_a_name_without_letters_for_a_slug_gets_one(admin: Client) -> None:
    slug = admin.dataset("写真")
    assert admin.get(f"/datasets/{slug}/").status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid"),
        ({"name": "  "}, 400, "invalid"),
        ({"name": "x", "slug": "No Spaces"}, 400, "invalid_slug"),
        ({"name": "x", "slug": "../etc"}, 400, "invalid_slug"),
        ({"name": "x", "slug": "new"}, 400, "invalid_slug"),
        ({"name": "x", "slug": "demo"}, 409, "slug_taken"),
        ({"name": "x", "visibility": "secret"}, 400, "invalid"),
        ({"name": "x" * 121}, 400, "invalid"),
    ],
)
def test_wrong_input_is_refused_in_words(
    admin: Client, body: dict[str, str], status: int, code: str
) -> None:
    refused = admin.post("/datasets/", json=body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= refused.json().keys()


def test_change_and_delete(admin: Client, dataset: str) -> None:
    changed = admin.patch(f"/datasets/{dataset}/", json={"name": "New", "visibility": "public"})
    assert (changed.json()["name"], changed.json()["visibility"]) == ("New", "public")
    assert admin.patch(f"/datasets/{dataset}/", json={"slug": "new"}).status_code == 400
    assert admin.delete(f"/datasets/{dataset}/").status_code == 204
    assert admin.get(f"/datasets/{dataset}/").status_code == 404


def test_lists_come_in_pages(admin: Client) -> None:
    for number in range(3):
        admin.dataset(f"paged {number}")
    seen: list[str] = []
    page = admin.get("/datasets/", params={"page_size": 2}).json()
    assert set(page) == {"next", "previous", "results"}
    while True:
        assert len(page["results"]) <= 2
        seen += [row["slug"] for row in page["results"]]
        if page["next"] is None:
            break
        page = admin.session.get(page["next"], timeout=30).json()
    assert len(seen) == len(set(seen))
    assert {"demo", "paged-0", "paged-1", "paged-2"} <= set(seen)


def test_what_is_private_is_not_there_for_others(
    admin: Client,
    outsider: Client,
    anyone: Client,
    dataset: str,
    picture: Callable[[int], bytes],
) -> None:
    job = admin.upload(dataset, ("a.jpg", picture(1)))["job"]
    image = admin.finished(job)["items"][0]["id"]
    media = admin.get(f"/images/{image}/").json()
    for other in (outsider, anyone):
        for path in (f"/datasets/{dataset}/", f"/datasets/{dataset}/images/", f"/images/{image}/",
                     f"/jobs/{job}/"):  # fmt: skip
            assert other.get(path).status_code == 404, path
        assert dataset not in [row["slug"] for row in other.get("/datasets/").json()["results"]]
        assert other.post("/search/", json={"image_id": image}).status_code == 404
        response = other.search(picture(1), dataset=dataset)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
        everywhere = other.search(picture(1), top_k="200").json()["results"]
        assert image not in [match["image"]["id"] for match in everywhere]
        for address in (media["url"], media["thumbnail_url"]):
            assert other.session.get(address, timeout=30).status_code == 404
    for address in (media["url"], media["thumbnail_url"]):
        assert admin.session.get(address, timeout=30).status_code == 200


def test_others_may_read_what_is_public_but_not_change_it(
    admin: Client, outsider: Client, anyone: Client, picture: Callable[[int], bytes]
) -> None:
    slug = admin.dataset("public to all", "public")
    file = [("file", ("a.jpg", picture(2)))]
    assert outsider.get(f"/datasets/{slug}/").status_code == 200
    assert anyone.get(f"/datasets/{slug}/").status_code == 200
    for other, status in ((outsider, 403), (anyone, 401)):
        assert other.patch(f"/datasets/{slug}/", json={"name": "x"}).status_code == status
        assert other.delete(f"/datasets/{slug}/").status_code == status
        assert other.post(f"/datasets/{slug}/images/", files=file).status_code == status
    assert anyone.post("/datasets/", json={"name": "x"}).status_code == 401


def test_scopes(admin: Client, reader: Client, dataset: str, giraffe: bytes) -> None:
    assert reader.get(f"/datasets/{dataset}/").status_code == 200
    assert reader.search(giraffe, dataset="demo").status_code == 200
    refused = reader.post("/datasets/", json={"name": "x"})
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")


def test_the_admin_scope_includes_the_others(installation: object, admin: Client) -> None:
    from harness.installation import Installation

    assert isinstance(installation, Installation)
    chief = Client(installation.url, installation.key("admin"))
    slug = chief.dataset("made with an admin key")
    assert chief.delete(f"/datasets/{slug}/").status_code == 204


def test_a_wrong_key_is_refused_even_for_what_is_public(installation: object) -> None:
    from harness.installation import Installation

    assert isinstance(installation, Installation)
    refused = Client(installation.url, "lk_wrong").get("/datasets/demo/")
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_key")
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
