"""Making, changing and deleting datasets and pictures; signing in."""

from __future__ import annotations

from django.test import Client
from django.urls import reverse

from searchapp.models import Dataset, ImageState
from tests.factories import add_image
from tests.pages.conftest import House


def test_a_dataset_from_making_to_deleting(house: House) -> None:
    client = house.client("outsider")
    response = client.post(reverse("dataset-new"), {"name": "Ten Maps", "visibility": "private"})
    assert response["Location"] == "/datasets/ten-maps/"
    settings = reverse("dataset-settings", args=["ten-maps"])
    client.post(settings, {"name": "Maps", "description": "Old.", "visibility": "public"})
    dataset = Dataset.objects.get(slug="ten-maps")
    assert (dataset.name, dataset.description, dataset.visibility) == ("Maps", "Old.", "public")
    delete = reverse("dataset-delete", args=["ten-maps"])
    refused = client.post(delete, {"number": "7"})
    assert refused.status_code == 400
    assert "Type 0, the number of pictures" in refused.content.decode()
    assert client.post(delete, {"number": "0"}).status_code == 302
    assert not Dataset.objects.filter(slug="ten-maps").exists()


def test_a_dataset_needs_a_name(house: House) -> None:
    client = house.client("owner")
    for url in (reverse("dataset-new"), reverse("dataset-settings", args=["birds"])):
        answer = client.post(url, {"name": "", "visibility": "public"})
        assert answer.status_code == 400
        assert "A dataset needs a name." in answer.content.decode()


def test_a_title_is_edited_and_a_picture_deleted(house: House) -> None:
    image = add_image(house.public)
    client = house.client("owner")
    client.post(reverse("image-edit", args=[image.pk]), {"title": "  Wren "})
    assert "<h1>Wren</h1>" in client.get(image.get_absolute_url()).content.decode()
    long = client.post(reverse("image-edit", args=[image.pk]), {"title": "x" * 256})
    assert long.status_code == 400
    assert "255 characters at most" in long.content.decode()
    assert client.post(reverse("image-delete", args=[image.pk])).status_code == 302
    assert client.get(image.get_absolute_url()).status_code == 404


def test_facts_of_a_picture(house: House) -> None:
    image = add_image(
        house.public,
        metadata={"source": "https://example.org/a", "trap": "javascript:alert(1)", "year": 1969},
    )
    page = house.client("anonymous").get(image.get_absolute_url()).content.decode()
    assert "6 × 4" in page
    assert "PNG" in page
    assert '<a href="https://example.org/a" rel="noopener noreferrer nofollow">' in page
    assert 'href="javascript' not in page
    assert "1969" in page


def test_a_rejected_picture_has_its_reason(house: House) -> None:
    image = add_image(
        house.public, b"x", state=ImageState.REJECTED, error_code="not_a_picture",
        error_detail="This file is not a picture.", width=None, height=None,
    )  # fmt: skip
    page = house.client("owner").get(image.get_absolute_url()).content.decode()
    assert "This file is not a picture." in page
    assert "not_a_picture" in page
    assert "Find similar" not in page


def test_signing_in(house: House) -> None:
    house.owner.set_password("a long password")
    house.owner.save()
    client = Client()
    wrong = client.post(reverse("login"), {"username": "owner", "password": "no"})
    assert "do not belong together" in wrong.content.decode()
    right = client.post(
        reverse("login"), {"username": "owner", "password": "a long password", "next": "/jobs/"}
    )
    assert right["Location"] == "/jobs/"


def test_credits_name_author_licence_and_source(db: None) -> None:
    page = Client().get(reverse("credits")).content.decode()
    assert page.count("<li>") > 228
    assert "Nosferattus · CC0-1.0" in page
    assert 'rel="noopener noreferrer"' in page


def test_an_old_form_is_answered_in_words(house: House) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(house.owner)
    answer = client.post(reverse("dataset-new"), {"name": "x"})
    assert answer.status_code == 403
