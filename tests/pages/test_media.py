"""Picture files: their headers, and what never runs in a browser."""

from __future__ import annotations

import pytest
from django.urls import reverse

from searchapp.models import ApiKey, ImageState, Scope
from tests.factories import add_image
from tests.pages.conftest import House
from tests.pictures import plain_picture


def test_an_original_is_what_was_sent(house: House) -> None:
    content = plain_picture()
    image = add_image(house.public, content, name='../we"ird\r\n.png')
    answer = house.client("anonymous").get(image.original_url)
    assert answer.getvalue() == content
    assert answer["Content-Type"] == "image/png"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert answer["Cache-Control"].startswith("public")
    assert "Cookie" not in answer.get("Vary", "")
    assert answer["Content-Disposition"] == 'inline; filename="_we_ird_.png"'
    assert answer["Content-Length"] == str(len(content))


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [
        ("heif", "image/heif"),
        ("tiff", "image/tiff"),
        ("svg", "application/octet-stream"),
        ("html", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_what_browsers_should_not_show_is_a_download(
    house: House, kind: str, content_type: str
) -> None:
    image = add_image(house.public, b"<script>alert(1)</script>", format=kind)
    answer = house.client("anonymous").get(image.original_url)
    assert answer["Content-Type"] == content_type
    assert answer["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize("side", [256, 512])
def test_thumbnails(house: House, side: int) -> None:
    answer = house.client("anonymous").get(add_image(house.public).thumbnail_url(side))
    assert answer["Content-Type"] == "image/webp"
    assert answer.getvalue()[8:12] == b"WEBP"


def test_no_other_sizes(house: House) -> None:
    image = add_image(house.public)
    assert house.client("anonymous").get(image.thumbnail_url(300)).status_code == 404
    any_version = {"If-None-Match": "*"}
    answer = house.client("anonymous").get(image.thumbnail_url(300), headers=any_version)
    assert answer.status_code == 404


def test_a_known_version_is_not_sent_again(house: House) -> None:
    image = add_image(house.public)
    client = house.client("anonymous")
    for url in (image.original_url, image.thumbnail_url(512)):
        tag = client.get(url)["ETag"]
        again = client.get(url, headers={"If-None-Match": tag})
        assert again.status_code == 304
        assert again["ETag"] == tag
        assert client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200


def test_head(house: House) -> None:
    image = add_image(house.public)
    answer = house.client("anonymous").head(image.original_url)
    assert answer.status_code == 200
    assert answer["Content-Length"] == str(image.bytes)


def test_private_files_stay_private(house: House) -> None:
    image = add_image(house.private)
    answer = house.client("owner").get(image.thumbnail_url())
    assert answer["Cache-Control"].startswith("private")
    assert {"Cookie", "Authorization"} <= set(answer["Vary"].replace(" ", "").split(","))
    assert house.client("outsider").get(image.thumbnail_url()).status_code == 404


def test_a_key_opens_its_users_files_only(house: House) -> None:
    image = add_image(house.private)
    for user, expected in ((house.owner, 200), (house.outsider, 404)):
        _, key = ApiKey.issue(name="k", user_id=user.pk, scope=Scope.READ)
        answer = house.client("anonymous").get(
            image.original_url, headers={"Authorization": f"Bearer {key}"}
        )
        assert answer.status_code == expected
    # A key that is not valid does not fall back to the owner's session.
    wrong = house.client("owner").get(
        image.original_url, headers={"Authorization": "Bearer lk_wrong"}
    )
    assert wrong.status_code == 404


def test_a_file_that_is_missing_is_a_404(house: House) -> None:
    image = add_image(house.public, b"", state=ImageState.REJECTED, sha256="0" * 64)
    assert house.client("owner").get(image.original_url).status_code == 404


@pytest.mark.django_db
def test_no_picture_of_an_unknown_search(house: House) -> None:
    answer = house.client("anonymous").get(reverse("query-picture", args=["unknown"]))
    assert answer.status_code == 410
    assert answer["Cache-Control"] == "no-store"
