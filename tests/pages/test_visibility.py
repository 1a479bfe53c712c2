"""Who may open which page: owner, another signed-in person, nobody in particular."""

from __future__ import annotations

import pytest
from django.urls import reverse

from searchapp.models import Dataset, Image, ImportJob
from searchapp.services.ingest import acceptance
from tests.factories import add_image
from tests.pages.conftest import House

OK, LOGIN, FORBIDDEN, MISSING = 200, 302, 403, 404
PEOPLE = ("owner", "outsider", "anonymous")


@pytest.mark.parametrize(
    ("page", "visibility", "expected"),
    [
        ("dataset", "public", (OK, OK, OK)),
        ("dataset", "private", (OK, MISSING, MISSING)),
        ("dataset-settings", "public", (OK, FORBIDDEN, LOGIN)),
        ("dataset-settings", "private", (OK, MISSING, LOGIN)),
    ],
)
def test_dataset_pages(house: House, page: str, visibility: str, expected: tuple[int, ...]) -> None:
    url = reverse(page, args=[getattr(house, visibility).slug])
    assert tuple(house.client(who).get(url).status_code for who in PEOPLE) == expected


@pytest.mark.parametrize(
    ("page", "visibility", "expected"),
    [
        ("image", "public", (OK, OK, OK)),
        ("image", "private", (OK, MISSING, MISSING)),
        ("image-delete", "public", (OK, FORBIDDEN, LOGIN)),
        ("image-delete", "private", (OK, MISSING, LOGIN)),
        ("media-original", "public", (OK, OK, OK)),
        ("media-original", "private", (OK, MISSING, MISSING)),
    ],
)
def test_image_pages(house: House, page: str, visibility: str, expected: tuple[int, ...]) -> None:
    image = add_image(getattr(house, visibility))
    url = reverse(page, args=[image.pk])
    assert tuple(house.client(who).get(url).status_code for who in PEOPLE) == expected


@pytest.mark.parametrize("who", ["outsider", "anonymous"])
def test_others_change_nothing(house: House, who: str) -> None:
    image = add_image(house.public, title="Wren")
    client = house.client(who)
    slug = house.public.slug
    client.post(reverse("image-edit", args=[image.pk]), {"title": "mine"})
    client.post(reverse("image-delete", args=[image.pk]))
    client.post(reverse("dataset-settings", args=[slug]), {"name": "x", "visibility": "private"})
    client.post(reverse("dataset-delete", args=[slug]), {"number": "1"})
    client.post(reverse("dataset-import", args=[slug]), {"addresses": "https://example.org"})
    assert Image.objects.get(pk=image.pk).title == "Wren"
    assert Dataset.objects.get(slug=slug).name == "Birds"
    assert not ImportJob.objects.exists()


def test_lists_show_what_one_may_see(house: House) -> None:
    def page(who: str) -> str:
        return house.client(who).get(reverse("datasets")).content.decode()

    assert "Letters" in page("owner")
    for who in ("outsider", "anonymous"):
        assert "Birds" in page(who)
        assert "Letters" not in page(who)
        assert "Letters" not in house.client(who).get("/").content.decode()


def test_a_private_dataset_cannot_be_searched_by_its_name(house: House) -> None:
    answer = house.client("outsider").post("/search/", {"dataset": "letters"})
    assert answer.status_code == MISSING
    assert "There is no dataset" in answer.content.decode()


def test_jobs_are_ones_own(house: House) -> None:
    job = acceptance.accept(house.private, [], user=house.owner)
    url = reverse("job", args=[job.pk])
    assert [house.client(who).get(url).status_code for who in PEOPLE] == [OK, MISSING, LOGIN]
    assert url in house.client("owner").get(reverse("jobs")).content.decode()
    assert url not in house.client("outsider").get(reverse("jobs")).content.decode()


def test_sign_out_is_a_post(house: House) -> None:
    client = house.client("owner")
    assert client.get(reverse("logout")).status_code == 405
    assert client.post(reverse("logout")).status_code == 302
    assert client.get(reverse("jobs")).status_code == LOGIN
