"""Galleries are paged by key: no page costs more than the first."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from searchapp.models import ImageState
from searchapp.pages.datasets.gallery import PAGE
from searchapp.pages.pagination import key_of
from tests.factories import add_image, add_rows
from tests.pages.conftest import House


def shown(page: str) -> list[int]:
    return [int(pk) for pk in re.findall(r'<a href="/images/(\d+)/">', page)]


def older(page: str) -> str | None:
    match = re.search(r'class="button" href="([^"]*before=\d+)"', page)
    return match.group(1).replace("&amp;", "&") if match else None


@pytest.mark.parametrize("number", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 2 * PAGE + 1])
def test_every_picture_is_shown_once_newest_first(house: House, number: int) -> None:
    rows = add_rows(house.public, number)
    client = house.client("anonymous")
    url: str | None = house.public.get_absolute_url()
    seen: list[int] = []
    pages = 0
    while url is not None:
        page = client.get(url).content.decode()
        seen += shown(page)
        url = older(page)
        pages += 1
    assert seen == sorted((row.pk for row in rows), reverse=True)
    assert pages == max(1, -(-number // PAGE))


def test_no_page_is_found_by_counting_rows(house: House) -> None:
    rows = add_rows(house.public, PAGE + 10)
    url = f"{house.public.get_absolute_url()}?before={rows[-5].pk}"
    with CaptureQueriesContext(connection) as queries:
        house.client("anonymous").get(url)
    statements = [query["sql"] for query in queries]
    assert any('"searchapp_image"."id" <' in sql for sql in statements)
    assert not any("OFFSET" in sql.upper() for sql in statements)


def test_htmx_gets_the_pictures_alone(house: House) -> None:
    rows = add_rows(house.public, PAGE + 1)
    url = f"{house.public.get_absolute_url()}?before={rows[1].pk}"
    part = house.client("anonymous").get(url, headers={"HX-Request": "true"}).content.decode()
    assert shown(part) == [rows[0].pk]
    assert "<html" not in part


@pytest.mark.parametrize("value", ["", "-1", "0", "x", "1e3", "²", "9" * 19 + "9", None])
def test_keys_that_make_no_sense_are_none(value: str | None) -> None:
    assert key_of(value) is None


def test_visitors_see_ready_pictures_only(house: House) -> None:
    ready = add_image(house.public)
    bad = add_image(
        house.public, b"%PDF", state=ImageState.REJECTED, error_detail="It begins like a PDF."
    )
    url = house.public.get_absolute_url()
    for query in ("", "?state=rejected"):
        assert shown(house.client("outsider").get(url + query).content.decode()) == [ready.pk]
    page = house.client("owner").get(url + "?state=rejected").content.decode()
    assert shown(page) == [bad.pk]
    assert "It begins like a PDF." in page


def test_the_number_of_pictures_is_said(house: House) -> None:
    add_rows(house.public, 3)
    page = house.client("anonymous").get(house.public.get_absolute_url()).content.decode()
    assert "3 pictures" in page
