"""The search pages where nothing of the background runs: what they say, and how."""

from __future__ import annotations

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from embeddings.explain.kinds import Kind
from searchapp.models import ImageState, Query
from searchapp.services.search import Answer, Cutoff, Match, Took, Wanted
from tests.pages.conftest import House, add_image, picture


def upload(content: bytes = b"") -> SimpleUploadedFile:
    return SimpleUploadedFile("query.png", content or picture(), "image/png")


def test_the_form_works_without_javascript(house: House) -> None:
    page = house.client("anonymous").get("/").content.decode()
    form = re.search(r"<form class=\"ask\".*?</form>", page, re.S)
    assert form is not None
    assert 'action="/search/"' in form.group()
    assert 'enctype="multipart/form-data"' in form.group()
    assert '<input class="file" type="file" name="picture"' in form.group()
    assert re.search(r'<button class="button">\s*Search', form.group())


def test_a_picture_leads_to_an_address_that_can_be_shared(house: House) -> None:
    client = house.client("anonymous")
    answer = client.post("/search/", {"picture": upload(), "dataset": "birds"})
    query = Query.objects.get()
    assert answer.status_code == 303
    assert answer["Location"] == f"/search/{query.token}/?dataset=birds"


def test_the_camera_is_a_picker_too(house: House) -> None:
    answer = house.client("anonymous").post("/search/", {"camera": upload()})
    assert answer.status_code == 303


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({}, 400, "Choose a picture first, or give the address of one."),
        ({"dataset": "none"}, 404, "There is no dataset"),
    ],
)
def test_errors_stand_at_the_drop_zone(
    house: House, fields: dict[str, str], status: int, sentence: str
) -> None:
    answer = house.client("anonymous").post("/search/", fields)
    assert answer.status_code == status
    zone = re.search(r'<div class="notice bad" data-problem.*?</div>', answer.content.decode())
    assert zone is not None
    assert sentence in zone.group()
    assert "hidden" not in zone.group()


def test_an_empty_file_is_named_as_such(house: House) -> None:
    empty = SimpleUploadedFile("query.png", b"", "image/png")
    answer = house.client("anonymous").post("/search/", {"picture": empty})
    assert answer.status_code == 422
    assert "This file is empty" in answer.content.decode()


def test_services_that_are_away_are_said_in_words(house: House) -> None:
    client = house.client("anonymous")
    where = client.post("/search/", {"picture": upload()})["Location"]
    answer = client.get(where)
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0
    page = answer.content.decode()
    assert "The search cannot answer now" in page
    assert f'href="{where}">Try again' in page


def test_a_search_that_is_gone(house: House) -> None:
    answer = house.client("anonymous").get("/search/never-was/")
    assert answer.status_code == 410
    assert "This search is gone" in answer.content.decode()


@pytest.mark.parametrize("image", ["abc", "-3", "999999", "9" * 30])
def test_an_image_that_is_not_there(house: House, image: str) -> None:
    assert house.client("anonymous").get(f"/search/?image={image}").status_code == 404


def test_an_image_that_is_not_ready_says_so(house: House) -> None:
    image = add_image(house.public, state=ImageState.PROCESSING)
    answer = house.client("anonymous").get(f"/search/?image={image.pk}")
    assert answer.status_code == 409
    assert "only a picture that is ready" in answer.content.decode()


def test_search_without_a_question_is_the_search_page(db: None) -> None:
    assert Client().get("/search/")["Location"] == "/"


def test_results_are_written_without_styles(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of an answer, from real rows; the search itself is asked in a real browser."""
    one, two = add_image(house.public, title="Wren <i>"), add_image(house.public, title="Robin")

    def answer(image: object, wanted: Wanted) -> Answer:
        matches = [Match(1, 1.0, one), Match(2, -0.25, two)][: wanted.top_k]
        cutoff = Cutoff(0.5, "", {Kind.SIMILAR: 1})
        return Answer("p", "f", Took(1, 2, 3, 7), matches, True, 6, 4, wanted.indexes, cutoff)

    monkeypatch.setattr("searchapp.services.search.answer_image", answer)
    page = house.client("anonymous").get(f"/search/?image={one.pk}").content.decode()
    assert "<strong>2 matches</strong> in 2 pictures" in page
    assert page.count("this picture") == 1
    assert "Wren &lt;i&gt;" in page
    assert '<rect class="fill" width="100"' in page
    assert '<rect class="fill" width="0"' in page
    assert 'fill="#88aa44"' in page
    assert "style=" not in page
    assert f"/media/{two.pk}/512.webp 512w" in page
    small = house.client("anonymous").get(f"/search/?image={one.pk}&k=1").content.decode()
    assert f'href="/search/?image={one.pk}&amp;k=24">Show more matches' in small
