"""Filters, order, pages and facets over HTTP, with pictures that come in as they do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from harness.installation import Client, wait_until

Picture = Callable[[int], bytes]


def add(admin: Client, slug: str, picture: bytes, **values: Any) -> int:
    body = admin.upload(slug, ("a.jpg", picture), metadata=json.dumps(values))
    admin.finished(body["job"])
    return int(body["items"][0]["id"])


def ids(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [result["image"]["id"] for result in answer.json()["results"]]


def ask(client: Client, **body: Any) -> Any:
    return client.post("/search/", json=body)


def test_a_filtered_search_from_upload_to_change(
    admin: Client, anyone: Client, outsider: Client, dataset: str, picture: Picture
) -> None:
    keys = [
        add(admin, dataset, picture(300 + place), year=1960 + place, place='Berlin "Mitte" \\ ü')
        for place in range(4)
    ]
    other = admin.dataset("filters other")
    away = add(admin, other, picture(310), year=1962)
    first = keys[0]

    def years(low: int, high: int, **more: Any) -> list[int]:
        field = {"field": "metadata.year", "min": low, "max": high}
        return ids(ask(admin, image_id=first, filter=field, **more))

    assert sorted(years(1961, 1962, dataset=dataset)) == keys[1:3]
    assert sorted(years(1961, 1962, dataset=[dataset, other])) == sorted([*keys[1:3], away])
    # As a form, by upload, with text that means something in every grammar.
    form = {
        "dataset": [dataset, other],
        "filter": json.dumps({"field": "metadata.place", "equals": 'BERLIN "mitte" \\ Ü'}),
        "top_k": "3",
        "collapse": "true",
    }
    response = admin.search(picture(301), **form)
    assert ids(response)[0] == keys[1]
    assert len(ids(response)) == 3
    assert response.json()["results"][0]["copies"] == 0
    rest = admin.search(picture(301), **form, after=response.json()["next"])
    assert sorted(ids(response) + ids(rest)) == keys
    assert rest.json()["next"] is None
    assert [result["rank"] for result in rest.json()["results"]] == [4]

    # Changed rows are found as they are now; what no longer passes is gone at once.
    assert admin.patch(f"/images/{first}/", json={"label": "Türmchen"}).status_code == 200
    label = {"field": "label", "equals": "türmchen"}
    wait_until(
        lambda: ids(ask(admin, image_id=first, dataset=dataset, filter=label)) == [first],
        "the changed label is not found",
    )
    admin.patch(f"/images/{first}/", json={"label": ""})
    assert ids(ask(admin, image_id=first, dataset=dataset, filter=label)) == []

    # The same over the newest first, and where one may not look.
    assert ids(ask(admin, image_id=first, dataset=dataset, sort="date")) == keys[::-1]
    for stranger in (anyone, outsider):
        refused = stranger.post(
            "/search/", files={"image": ("q.jpg", picture(1))}, data={"dataset": ["demo", dataset]}
        )
        assert refused.status_code == 404
        assert stranger.get(f"/facets/?dataset=demo&dataset={dataset}").status_code == 404

    facets = {
        one["field"]: one for one in admin.get(f"/facets/?dataset={dataset}").json()["facets"]
    }
    year = facets["metadata.year"]
    assert (year["kind"], year["min"], year["max"], year["number"]) == ("number", 1960, 1963, 4)
    assert facets["metadata.place"]["values"] == [{"value": 'Berlin "Mitte" \\ ü', "number": 4}]
    everything = anyone.get("/facets/").json()
    assert "metadata.year" not in {one["field"] for one in everything["facets"]}


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ({"filter": {"field": "metadata.a", "like": "%"}}, "invalid_filter", "filter: metadata.a"),
        ({"filter": {"all": [{"field": "width", "min": "x"}]}}, "invalid_filter", "all[0].min"),
        ({"filter": "{"}, "invalid_filter", "filter: this is not JSON"),
        ({"filter": [1]}, "invalid_filter", "filter: this must be"),
        ({"sort": "beauty"}, "invalid", "sort"),
        ({"after": "abc"}, "invalid_cursor", "after"),
        ({"dataset": ["demo", "nowhere"]}, "not_found", "nowhere"),
        ({"dataset": [{"a": 1}]}, "invalid", "dataset"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(
    anyone: Client, body: dict[str, Any], code: str, says: str
) -> None:
    answer = ask(anyone, image_id=2, **body)
    assert answer.json()["code"] == code
    assert says in answer.json()["detail"]
