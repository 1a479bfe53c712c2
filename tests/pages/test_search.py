"""The search pages where nothing of the background runs: what they say, and how."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from embeddings.geometry.kinds import Kind
from searchapp.models import ImageState, Query
from searchapp.services import query_rpc
from searchapp.services import search as service
from searchapp.services.errors import Invalid
from searchapp.services.search import Answer, Box, Cutoff, Match, SearchRequest, Timings
from tests.factories import add_image
from tests.pages.conftest import House
from tests.pictures import plain_picture


def upload(content: bytes = b"") -> SimpleUploadedFile:
    return SimpleUploadedFile("query.png", content or plain_picture(), "image/png")


def test_the_form_works_without_javascript(house: House) -> None:
    page = house.client("anonymous").get("/").content.decode()
    form = re.search(r"<form class=\"ask\".*?</form>", page, re.S)
    assert form is not None
    assert 'action="/search/"' in form.group()
    assert 'enctype="multipart/form-data"' in form.group()
    assert '<input class="file" type="file" name="picture"' in form.group()
    assert re.search(r'<button class="button">\s*Search', form.group())


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker has looked at what is sent. (Browser tests have real ones.)"""
    monkeypatch.setattr(query_rpc, "ask_thumbnail", lambda sha256: None)


def test_a_picture_leads_to_an_address_that_can_be_shared(house: House, looked_at: None) -> None:
    client = house.client("anonymous")
    answer = client.post("/search/", {"picture": upload(), "dataset": "birds"})
    query = Query.objects.get()
    assert answer.status_code == 303
    assert answer["Location"] == f"/search/{query.token}/?dataset=birds"


def test_the_camera_is_a_picker_too(house: House, looked_at: None) -> None:
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


def test_services_that_are_away_are_said_in_words(house: House, looked_at: None) -> None:
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
    assert house.client("anonymous").get(f"/search/?image={image.pk}").status_code == 404
    answer = house.client("owner").get(f"/search/?image={image.pk}")
    assert answer.status_code == 409
    assert "only a picture that is ready" in answer.content.decode()


def test_search_without_a_question_is_the_search_page(db: None) -> None:
    assert Client().get("/search/")["Location"] == "/"


@pytest.fixture
def results(house: House, monkeypatch: pytest.MonkeyPatch) -> list[Match]:
    """The matches that a search returns here, of real rows; browser tests do real searches."""
    results = [
        Match(1, 1.0, add_image(house.public, title="Wren <i>"), Kind.IDENTICAL, verified=True),
        Match(2, 0.81, add_image(house.public, title="Robin"), Kind.NEAR_DUPLICATE,
              ("cropped", "inside"), "Points lie alike.", verified=True),
        Match(3, 0.6, add_image(house.public, title="Finch"), Kind.SIMILAR),
        Match(4, 0.41, add_image(house.public, title="Crow"), Kind.WEAK),
        Match(5, -0.25, add_image(house.public, title="Stone"), Kind.WEAK),
    ]  # fmt: skip

    def answer(image: object, request: SearchRequest, box: Box | None = None) -> Answer:
        matches = results[: request.top_k]
        counts = Counter(match.kind for match in matches)
        cutoff = Cutoff(0.5, "The scores fall there.", counts)
        took = Timings(1, 2, 3, 7)
        return Answer("p", "f", took, matches, True, 6, 4, request.indexes, cutoff, next="on")

    monkeypatch.setattr("searchapp.services.search.answer_image", answer)
    return results


def page_of(house: House, results: list[Match], rest: str = "", **headers: str) -> str:
    address = f"/search/?image={results[0].image.pk}{rest}"
    answer = house.client("anonymous").get(address, headers=headers)
    assert answer.status_code == 200, answer.content.decode()
    return answer.content.decode()


def test_matches_stand_in_groups_by_kind(house: House, results: list[Match]) -> None:
    page = page_of(house, results)
    assert re.findall(r'class="kind" data-kind="([\w -]+)"', page) == [
        "identical", "near-duplicate", "similar",
    ]  # fmt: skip
    assert "<strong>3 matches</strong> in 5 pictures" in page
    assert page.count("this picture<") == 1
    assert "Wren &lt;i&gt;" in page
    assert "cropped, inside a larger picture" in page
    assert f"/compare/?image={results[0].image.pk}&amp;with={results[1].image.pk}" in page
    assert 'fill="#88aa44"' in page
    assert f"/media/{results[1].image.pk}/512.webp 512w" in page
    assert '<rect class="fill" width="100"' in page
    assert '<rect class="fill" width="0"' in page
    assert "style=" not in page


def test_weak_matches_are_folded_until_they_are_asked_for(
    house: House, results: list[Match]
) -> None:
    folded = re.search(r'<details class="weak"[^>]*>', page_of(house, results))
    unfolded = re.search(r'<details class="weak"[^>]*>', page_of(house, results, "&weak=1"))
    assert folded is not None
    assert unfolded is not None
    assert " open" not in folded.group()
    assert " open" in unfolded.group()
    assert 'Show weak matches <span class="numbers">(2)' in page_of(house, results)


def test_a_deep_look_comes_after_the_page_and_only_where_it_has_found_something(
    house: House, results: list[Match], monkeypatch: pytest.MonkeyPatch
) -> None:
    deep_flags: list[bool] = []
    answer_image = service.answer_image

    def answer(image: object, request: SearchRequest, box: Box | None = None) -> Answer:
        deep_flags.append(request.deep)
        shallow = answer_image(image, request, box)  # type: ignore[arg-type]
        return replace(shallow, unfinished=not request.deep, found_deep=request.deep and finds)

    monkeypatch.setattr("searchapp.services.search.answer_image", answer)
    finds = False
    page = page_of(house, results, "&k=50")
    own = f"/search/?image={results[0].image.pk}&k=50"
    deeper = f"{own}&deep=1"
    assert f'hx-get="{deeper.replace("&", "&amp;")}"' in page
    assert deep_flags == [False]
    client, part = house.client("anonymous"), {"HX-Request": "true"}
    assert client.get(deeper, headers=part).status_code == 204
    finds = True
    more = client.get(deeper, headers=part)
    assert more.status_code == 200
    assert more["HX-Push-Url"] == "false"  # the address that can be shared stays as it was
    assert deep_flags == [False, True, True]
    assert "deep=1" not in more.content.decode()
    assert "data-page" in client.get(deeper).content.decode()  # without JavaScript, by a link


def test_a_part_of_a_page_has_its_title(house: House, results: list[Match]) -> None:
    part = page_of(house, results, **{"HX-Request": "true"})
    assert part.strip().startswith("<title>Pictures like Wren &lt;i&gt; · Lookalike</title>")
    assert page_of(house, results).count("<title>") == 1


def test_the_line_can_be_drawn_elsewhere(house: House, results: list[Match]) -> None:
    lower = page_of(house, results, "&floor=0.4")
    assert "<strong>4 matches</strong>" in lower
    assert "Your cut-off" in lower
    higher = page_of(house, results, "&floor=0.9")
    assert "<strong>2 matches</strong>" in higher  # what was verified stays
    # A handle that was left where it stood has chosen nothing.
    assert "Your cut-off" not in page_of(house, results, "&floor=0.50&auto=0.50")


@pytest.mark.parametrize("floor", ["nan", "inf", "a", "-3", "9"])
def test_a_floor_that_makes_no_sense_breaks_nothing(
    house: House, results: list[Match], floor: str
) -> None:
    page_of(house, results, f"&floor={floor}")


def test_nothing_like_it_is_an_answer(house: House, results: list[Match]) -> None:
    del results[:3]
    page = page_of(house, results)
    assert "Nothing like it here" in page
    assert "The best score, 0.41, is below the cut-off of 0.50" in page
    assert "Show weak matches" in page


def test_another_order_has_no_groups_and_kinds_on_its_cards(
    house: House, results: list[Match]
) -> None:
    page = page_of(house, results, "&sort=date")
    assert "<h2" not in page[: page.index("data-weak")].split("data-cards")[1]
    assert '<span class="kind" data-kind="near-duplicate">' in page


def test_a_list_says_more_in_as_many_statements(
    house: House, results: list[Match], django_assert_max_num_queries: Any
) -> None:
    page = page_of(house, results, "&view=list")
    assert "6 × 4" in page
    assert " · Birds" in page
    for place in range(20):
        results.append(Match(6 + place, 0.7, add_image(house.public, title=f"Gull {place}")))
    with django_assert_max_num_queries(20):
        page_of(house, results, "&view=list&k=50")


def test_the_whole_state_stands_in_the_address(house: House, results: list[Match]) -> None:
    state = "&dataset=birds&box=0.1,0.2,0.5,0.5&sort=size&once=1&view=list&k=50&floor=0.42&weak=1"
    address = f"/search/?image={results[0].image.pk}{state}"
    answer = house.client("anonymous").get(
        address + "&auto=0.5&after=x&f.label=", headers={"HX-Request": "true"}
    )
    assert answer["HX-Push-Url"] == address + "&after=x"
    assert "no-store" in answer["Cache-Control"]
    assert b"<html" not in answer.content
    # What htmx asks for to go back is a page.
    back = page_of(
        house, results, state, **{"HX-Request": "true", "HX-History-Restore-Request": "true"}
    )
    assert "<html" in back


def test_filters_are_chips_that_can_be_taken_away(house: House, results: list[Match]) -> None:
    page = page_of(house, results, "&f.format=png&f.width~min=3&dataset=birds")
    chips = re.findall(r'<a class="chip" href="([^"]+)"[^>]*>.*?</span>([^<]+)<', page)
    assert [text for _, text in chips] == ["in Birds", "Format: png", "Width from 3"]
    assert all("f.format" not in link for link, text in chips if text == "Format: png")
    assert all("f.width" in link for link, text in chips if text == "Format: png")


def test_very_many_values_have_one_chip(house: House, results: list[Match]) -> None:
    labels = "".join(f"&f.label=v{place}" for place in range(200))
    page = page_of(house, results, f"{labels}&f.format=png")
    chips = re.findall(r'<a class="chip" href="([^"]+)"[^>]*>.*?</span>([^<]+)<', page)
    assert [text for _, text in chips] == ["Label: v0 and 199 more", "Format: png"]
    assert "f.label" not in chips[0][0]
    assert "f.format=png" in chips[0][0]


def test_a_wrong_cursor_leads_back_to_the_first_page(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> Answer:
        raise Invalid("invalid_cursor", "This cursor is of another search.")

    monkeypatch.setattr("searchapp.services.search.answer_image", refuse)
    address = f"/search/?image={add_image(house.public).pk}"
    answer = house.client("anonymous").get(f"{address}&sort=size&after=x")
    assert answer.status_code == 400
    assert f'href="{address}&amp;sort=size">Search without it' in answer.content.decode()


def test_a_wrong_box_is_said_where_the_results_would_be(house: House, results: list[Match]) -> None:
    address = f"/search/?image={results[0].image.pk}&box=0.5,0.5,0.9,0.9"
    answer = house.client("anonymous").get(address)
    assert answer.status_code == 400
    page = answer.content.decode()
    assert "this one ends outside of the picture" in page
    assert f'href="/search/?image={results[0].image.pk}">Search without it' in page


def test_a_dataset_that_one_may_not_see_is_not_there(house: House, results: list[Match]) -> None:
    address = f"/search/?image={results[0].image.pk}&dataset=birds&dataset=letters"
    assert house.client("outsider").get(address).status_code == 404
    assert house.client("owner").get(address).status_code == 200


@pytest.mark.parametrize(
    "address", ["http://[", "//[", "https://exa\u2100mple.org/", "javascript:1"]
)
def test_what_is_no_address_is_told_so_where_two_are_compared(house: House, address: str) -> None:
    fields = {"address": address, "with": str(add_image(house.public).pk)}
    answer = house.client("anonymous").post("/compare/", fields)
    assert answer.status_code == 400
    assert "is neither the address of a picture" in answer.content.decode()


def test_regions_of_a_picture_that_one_may_not_see(house: House) -> None:
    image = add_image(house.private)
    assert house.client("outsider").get(f"/images/{image.pk}/regions/").status_code == 404
    # Nothing of the background runs here: no suggestions, and no complaint.
    assert house.client("owner").get(f"/images/{image.pk}/regions/").status_code == 204
    assert Client().get("/search/never-was/regions/").status_code == 204
