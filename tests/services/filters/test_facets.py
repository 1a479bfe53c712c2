"""What is told of the fields that pictures can be filtered by."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from searchapp.models import Dataset, DatasetFacets, Image, ImageState
from searchapp.services.datasets.dataset_service import create_dataset
from searchapp.services.errors import Unavailable
from searchapp.services.filters import facet_counts, facets, scalar_sync
from searchapp.services.filters.facets import Facet, Schema, schema_of
from searchapp.services.filters.fields import FieldKind

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(owner: User) -> Dataset:
    return create_dataset(name="Pictures", owner=owner)


def add(dataset: Dataset, *facts: dict[str, Any]) -> None:
    start = Image.objects.count()
    Image.objects.bulk_create(
        Image(
            **{
                "dataset": dataset, "content_key": str(start + place), "sha256": "0" * 64,
                "bytes": 10, "name": "a.jpg", "width": 40, "height": 30, "format": "jpeg",
                "color": "#ff0000", "state": ImageState.READY,
            }
            | fact
        )
        for place, fact in enumerate(facts)
    )  # fmt: skip


def facet(schema: Schema, name: str) -> Facet:
    result = schema.facet(name)
    assert result is not None, [one.name for one in schema.facets]
    return result


def counts(one: Facet) -> dict[str, int]:
    return {value.value: value.number for value in one.values}


def test_every_field_with_its_kind_counts_and_ends(dataset: Dataset) -> None:
    add(
        dataset,
        {"label": "Cat", "tags": ["a", "b"], "metadata": {"year": 1969, "when": "2024-05-01"}},
        {"label": "cat", "tags": ["b"], "metadata": {"year": "1980", "when": "2023-01-01T10:00Z"}},
        {"label": "Cat", "width": 10, "metadata": {"year": 1969.0, "ok": True, "of": ["x", "y"]}},
        {"color": "", "metadata": {"ok": False, "mixed": 1, "empty": "", "none": None}},
        {"metadata": {"mixed": "one", "deep": {"a": 1}, 'q"<b>': "<i>"}},
        {"label": "hidden", "state": ImageState.DELETED, "metadata": {"secret": 1}},
    )
    schema = schema_of([dataset])
    assert schema.pictures == 5
    assert counts(facet(schema, "label")) == {"Cat": 3}
    assert counts(facet(schema, "tags")) == {"b": 2, "a": 1}
    assert (facet(schema, "tags").kind, facet(schema, "tags").number) == (FieldKind.WORDS, 2)
    assert counts(facet(schema, "orientation")) == {"landscape": 4, "portrait": 1}
    assert counts(facet(schema, "color")) == {"red": 4}
    width = facet(schema, "width")
    assert (width.kind, width.low, width.high, width.number) == (FieldKind.NUMBER, 10, 40, 5)
    year = facet(schema, "metadata.year")
    assert (year.kind, year.low, year.high) == (FieldKind.NUMBER, 1969, 1980)
    assert counts(year) == {"1969": 2, "1980": 1}
    when = facet(schema, "metadata.when")
    assert (when.kind, when.low, when.high) == (FieldKind.DATE, "2023-01-01", "2024-05-01")
    assert (facet(schema, "metadata.ok").kind, counts(facet(schema, "metadata.ok"))) == (
        FieldKind.YES_NO,
        {"true": 1, "false": 1},
    )
    assert facet(schema, "metadata.of").kind == FieldKind.WORDS
    assert facet(schema, "metadata.mixed").kind == FieldKind.TEXT
    assert facet(schema, 'metadata.q"<b>').values[0].value == "<i>"
    today = timezone.now().date().isoformat()
    assert facet(schema, "created").low == facet(schema, "created").high == today
    assert not any("secret" in one.name or "empty" in one.name for one in schema.facets)


def test_moments_beyond_the_first_and_the_last_day_are_told_as_those(dataset: Dataset) -> None:
    add(
        dataset,
        {"metadata": {"when": "0001-01-01T00:00:00+12:00"}},
        {"metadata": {"when": "9999-12-31T23:59:59-12:00"}},
    )
    when = facet(schema_of([dataset]), "metadata.when")
    assert (when.low, when.high) == ("0001-01-01", "9999-12-31")


def test_names_that_no_filter_can_ask_for_are_not_told(dataset: Dataset) -> None:
    add(dataset, {"metadata": {"": 1, "x" * 256: 1, "y" * 255: 1}})
    field_names = [
        one.name for one in schema_of([dataset]).facets if one.name.startswith("metadata.")
    ]
    assert field_names == ["metadata." + "y" * 255]


def test_what_few_have_is_found_and_many_values_are_bounded(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facet_counts, "_MAX_DISTINCT", 50)
    monkeypatch.setattr(facet_counts, "_ROWS_AT_ONCE", 64)
    facts: list[dict[str, Any]] = [
        {"metadata": {"id": f"n{place}", "size": place, "most": "x" if place % 2 else place}}
        for place in range(400)
    ]
    facts[217]["metadata"]["rare"] = "here"
    add(dataset, *facts)
    schema = schema_of([dataset])
    assert counts(facet(schema, "metadata.rare")) == {"here": 1}
    ids = facet(schema, "metadata.id")
    assert (ids.number, len(ids.values), ids.others) == (400, 20, 380)
    assert (facet(schema, "metadata.size").low, facet(schema, "metadata.size").high) == (0, 399)
    most = facet(schema, "metadata.most")
    assert (most.values[0].value, most.values[0].number) == ("x", 200)
    stored = DatasetFacets.objects.get().fields
    assert all(len(one["values"]) <= 100 for one in stored.values())


def test_several_datasets_are_added_up(dataset: Dataset, owner: User) -> None:
    other = create_dataset(name="Other", owner=owner)
    add(dataset, {"label": "a", "width": 5}, {"label": "b"})
    add(other, {"label": "a", "width": 500, "metadata": {"k": 1}})
    schema = schema_of([dataset, other])
    assert counts(facet(schema, "label")) == {"a": 2, "b": 1}
    assert (facet(schema, "width").low, facet(schema, "width").high) == (5, 500)
    assert schema_of([dataset]).facet("metadata.k") is None
    assert schema_of([]).facets == ()


def test_counts_follow_the_rows(dataset: Dataset) -> None:
    add(dataset, {"label": "a"}, {"label": "a"})
    assert counts(facet(schema_of([dataset]), "label")) == {"a": 2}
    add(dataset, {"label": "b"})
    assert counts(facet(schema_of([dataset]), "label")) == {"a": 2, "b": 1}


def test_changed_rows_are_counted_again(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        scalar_sync, "write", lambda index, images: None
    )  # there are no vectors here
    add(dataset, {"label": "a"})
    schema_of([dataset])
    Image.objects.update(label="z")
    scalar_sync.refresh()
    assert counts(facet(schema_of([dataset]), "label")) == {"z": 1}


def test_large_datasets_are_counted_by_a_worker(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facets, "SMALL", 2)
    add(dataset, *({"label": "a"} for _ in range(5)))
    with pytest.raises(Unavailable) as refused:
        schema_of([dataset], patience=0)
    assert refused.value.code == "facets_not_counted"
    assert facets.waits()
    assert not facets.count_next()
    assert counts(facet(schema_of([dataset]), "label")) == {"a": 5}
    add(dataset, {"label": "b"})
    DatasetFacets.objects.update(seconds=1000)
    assert counts(facet(schema_of([dataset]), "label")) == {"a": 5}  # what there is, at once
    assert not facets.waits()  # nobody counts over and over while a dataset grows
    DatasetFacets.objects.update(seconds=0)
    schema_of([dataset])
    assert not facets.waits()  # and nobody looks at each search how many there are by now
    monkeypatch.setattr(facets, "_looked_at", {})
    schema_of([dataset])
    assert facets.waits()
    facets.count_next()
    assert counts(facet(schema_of([dataset]), "label")) == {"a": 5, "b": 1}


def test_large_datasets_are_counted_before_anybody_asks(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facets, "SMALL", 2)
    add(dataset, {"label": "a"}, {"label": "a"})
    facets.want_first_counts()
    assert not facets.waits()  # small ones are counted by whoever asks
    add(dataset, {"label": "a"})
    facets.want_first_counts()
    facets.count_next()
    assert counts(facet(schema_of([dataset], patience=0), "label")) == {"a": 3}
    add(dataset, {"label": "a"})
    facets.want_first_counts()
    assert not facets.waits()  # from then on, by who asks
