"""Many rows in one statement."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchapp.infra import bulk_update
from searchapp.infra.bulk_update import update_rows
from searchapp.models import Dataset, Image, ImageState
from tests.factories import add_image
from tests.properties import examples

FIELDS = ["name", "tags", "metadata", "box", "width", "ready_at", "state"]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
ROWS = st.fixed_dictionaries(
    {
        "name": TEXT,
        "tags": st.lists(TEXT, max_size=3),
        "metadata": st.dictionaries(TEXT, st.none() | st.integers(-9, 9) | TEXT, max_size=3),
        "box": st.none() | st.lists(st.integers(0, 9), min_size=4, max_size=4),
        "width": st.none() | st.integers(0, 2**31 - 1),
        "ready_at": st.none() | st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)),
        "state": st.sampled_from(ImageState.values),
    }
)


def _shown(image: Image) -> dict[str, Any]:
    return {name: getattr(image, name) for name in FIELDS}


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, min_size=1, max_size=4))
def test_what_is_written_is_read_again(dataset: Dataset, rows: list[dict[str, Any]]) -> None:
    Image.objects.all().delete()
    images = [add_image(dataset) for _ in range(len(rows) + 1)]
    untouched = _shown(Image.objects.get(pk=images[-1].pk))
    for image, values in zip(images, rows, strict=False):
        for name, value in values.items():
            setattr(
                image, name, value.replace(tzinfo=UTC) if name == "ready_at" and value else value
            )
    update_rows(images[:-1], FIELDS)
    for image in images[:-1]:
        assert _shown(Image.objects.get(pk=image.pk)) == _shown(image)
    assert _shown(Image.objects.get(pk=images[-1].pk)) == untouched


def test_one_statement_for_all_and_none_for_nothing(dataset: Dataset) -> None:
    images = [add_image(dataset) for _ in range(20)]
    gone = images[3].pk
    Image.objects.filter(pk=gone).delete()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        update_rows(images, ["label"])
        update_rows([], ["label"])
    assert len(queries) == 1
    assert not Image.objects.filter(pk=gone).exists()


def test_more_than_a_statement_can_hold(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_update, "_MAX_PARAMETERS", 10)
    images = [add_image(dataset) for _ in range(12)]
    for place, image in enumerate(images):
        image.label = f"label {place}"
    update_rows(images, ["label"])
    labels = Image.objects.order_by("pk").values_list("label", flat=True)
    assert list(labels) == [f"label {place}" for place in range(12)]
