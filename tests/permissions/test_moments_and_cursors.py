"""Moments and cursors that nobody ever gave are refused, at every address that takes one."""

from __future__ import annotations

import base64
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchapp.services.moments import parse_moment
from tests.permissions.conftest import House

OUT_OF_RANGE = ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"]
NONE = [*OUT_OF_RANGE, "2026-02-30T00:00:00+00:00", "2026-01-01T00:00:00", "x", "\0", "1" * 5000]
LISTS = [
    "/api/v1/jobs/", "/api/v1/datasets/letters/imports/", "/api/v1/datasets/letters/images/",
    "/api/v1/datasets/",
]  # fmt: skip


@pytest.mark.parametrize("moment", NONE)
def test_a_moment_that_is_none_is_refused(house: House, moment: str) -> None:
    client = house.client("editor")
    body = {"action": "restore", "filter": {"state": "deleted", "deleted_at": moment}}
    answer = client.post("/api/v1/datasets/letters/bulk/", body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["code"] in ("invalid_filter", "invalid")
    assert client.post(f"/datasets/letters/undo/?at={quote(moment)}").status_code == 400
    assert client.get("/jobs/", {"before": moment}).status_code in (200, 400)


def test_a_moment_whose_plus_became_a_blank_is_one(house: House) -> None:
    body = {
        "action": "restore",
        "filter": {"state": "deleted", "deleted_at": "2026-01-01T00:00:00 00:00"},
    }
    answer = house.client("editor").post(
        "/api/v1/datasets/letters/bulk/", body, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["number"]) == (200, 0)


@pytest.mark.parametrize("address", LISTS)
@pytest.mark.parametrize(
    "cursor",
    [
        *(base64.b64encode(urlencode({"p": position}).encode()).decode() for position in NONE),
        "x", "%%%", "ü", "bz0tMQ==", "bz05OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "cj14", "",
    ],
)  # fmt: skip
def test_a_cursor_of_no_list_is_refused(house: House, address: str, cursor: str) -> None:
    answer = house.client("editor").get(address, {"cursor": cursor})
    # Some that stand for no position are the beginning of a list, as Base64 is lenient.
    assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        assert answer.json()["code"] == "invalid_cursor"


@pytest.mark.parametrize("moment", NONE)
@pytest.mark.parametrize("address", LISTS[:2])
def test_a_cursor_out_of_time_is_refused(house: House, address: str, moment: str) -> None:
    cursor = base64.b64encode(urlencode({"p": moment}).encode()).decode()
    answer = house.client("editor").get(address, {"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


@given(st.datetimes(timezones=st.timezones()) | st.text())
def test_every_moment_is_read_or_refused(moment: object) -> None:
    text = moment if isinstance(moment, str) else moment.isoformat()  # type: ignore[attr-defined]
    parsed = parse_moment(text)
    assert parsed is None or parsed.utcoffset() is not None
