"""What HTTP asks of every address: methods, caches, who may not, ids; and files for machines."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from searchapp.middleware.request_id import RequestIdFilter
from searchapp.models import FailedTask, Image, ImageState, ImportJob, JobState, Visibility
from searchapp.services.datasets.dataset_service import create_dataset
from tests.factories import add_image
from tests.permissions.conftest import House, house, keys
from tests.permissions.test_matrix import DOORS, OF_NO_DATASET, addresses

__all__ = ["house", "keys"]


@pytest.fixture
def public(house: House) -> House:
    house.dataset.visibility = Visibility.PUBLIC
    house.dataset.save()
    return house


# Methods.


def _paths(keys: dict[str, Any]) -> list[str]:
    """One path of every address that there is."""
    named = {
        door.name: reverse(door.name, args=[keys.get(key, key) for key in door.keys])
        for door in DOORS
    }
    for name in OF_NO_DATASET & set(addresses()):
        args = {"results": ["token"], "query-picture": ["token"], "query-regions": ["token"]}
        named[name] = reverse(name, args=args.get(name, []))
    return sorted(set(named.values()))


@pytest.mark.slow
def test_methods_that_an_address_does_not_have(house: House, keys: dict[str, Any]) -> None:
    client = house.client("superuser")
    for path in _paths(keys):
        for method in ("TRACE", "PROPFIND", "CONNECT"):
            answer = client.generic(method, path)
            assert (answer.status_code, answer.json()["code"]) == (501, "method_unknown")
        for method in ("PUT", "PATCH", "DELETE", "POST", "GET"):
            answer = client.generic(method, path)
            assert answer.status_code < 500 or answer.status_code == 503, (method, path)
            if answer.status_code == 405:
                assert answer["Allow"], path
                assert method not in answer["Allow"].split(", ")
                assert answer.content, path


@pytest.mark.slow
def test_head_is_get_without_a_body(public: House, keys: dict[str, Any]) -> None:
    for who in ("anonymous", "owner"):
        client = public.client(who)
        for path in _paths(keys):
            if path.startswith("/api/v1/uploads/"):
                continue  # the protocol has a HEAD of its own
            got, head = client.get(path), client.head(path)
            assert got.status_code == head.status_code, path
            assert head.content == b"" if not head.streaming else True


# Caches.


@pytest.mark.slow
def test_what_is_for_somebody_is_kept_by_nobody_else(public: House, keys: dict[str, Any]) -> None:
    client = public.client("owner")
    for path in _paths(keys):
        answer = client.get(path)
        kept = answer.get("Cache-Control", "")
        is_for_all = path.startswith("/media/") or path in ("/robots.txt", "/favicon.ico")
        assert "private" in kept or "no-store" in kept or is_for_all, path
        if path.startswith("/api/"):
            assert {"Authorization", "Cookie"} <= set(re.split(r",\s*", answer["Vary"])), path


def test_anonymous_answers_of_the_api_differ_by_key(public: House) -> None:
    answer = Client().get("/api/v1/datasets/")
    assert {"Authorization", "Cookie"} <= set(re.split(r",\s*", answer["Vary"]))


# References to originals that are elsewhere.


@pytest.fixture
def referenced(public: House) -> Image:
    return add_image(public.dataset, reference="https://elsewhere.example/ä.png?x=<b>")


def test_no_browser_is_sent_elsewhere_unasked(public: House, referenced: Image) -> None:
    client = public.client("anonymous")
    address = f"/media/{referenced.pk}/original"
    page = client.get(address, headers={"Accept": "text/html,*/*"})
    assert page.status_code == 200
    assert "elsewhere.example" in page.content.decode()
    assert "x=&lt;b&gt;" in page.content.decode()
    listed = client.get(address, headers={"Accept": "application/json"})
    assert (listed.status_code, listed["Content-Type"]) == (200, "text/uri-list")
    assert listed.content == b"https://elsewhere.example/%C3%A4.png?x=%3Cb%3E\r\n"
    followed = client.get(f"{address}?follow=1")
    assert (followed.status_code, followed["Location"][:26]) == (
        302,
        "https://elsewhere.example/"[:26],
    )
    for answer in (page, listed, followed):
        assert answer["Cache-Control"] == "private, no-store"
        assert answer["Referrer-Policy"] == "no-referrer"
    detail = client.get(f"/images/{referenced.pk}/").content.decode()
    assert f"{address} 6w" not in detail  # no <img> loads it


# Files that were rejected.


def test_what_was_rejected_is_for_editors(public: House) -> None:
    rejected = add_image(
        public.dataset, state=ImageState.REJECTED, name="passport.pdf", error_code="not_a_picture"
    )
    failed = add_image(public.dataset, state=ImageState.FAILED, name="failed.png")
    for who, sees in (
        ("anonymous", False),
        ("outsider", False),
        ("viewer", False),
        ("editor", True),
    ):
        client = public.client(who)
        for image in (rejected, failed):
            for path in (
                f"/api/v1/images/{image.pk}/", f"/images/{image.pk}/",
                f"/media/{image.pk}/original", f"/media/{image.pk}/256.webp",
            ):  # fmt: skip
                assert (client.get(path).status_code == 200) is sees, (who, path)
        listed = client.get("/api/v1/datasets/letters/images/").content.decode()
        assert ("passport.pdf" in listed) is sees
        for state in ("rejected", "failed", "received", "processing", "deleted"):
            answer = client.get("/api/v1/datasets/letters/images/", {"state": state})
            expected = 200 if sees else 401 if who == "anonymous" else 403
            assert answer.status_code == expected, (who, state)


# Who may not: 401 for who has not said who they are.


@pytest.mark.slow
def test_nobody_in_particular_gets_401_where_a_key_would_help(
    public: House, keys: dict[str, Any]
) -> None:
    client = public.client("anonymous")
    for door in DOORS:
        if door.name.startswith("api-"):
            path = reverse(door.name, args=[keys.get(key, key) for key in door.keys])
            answer = client.generic(door.method.upper(), path, headers=door.headers)
            assert answer.status_code != 403, str(door)
            if answer.status_code == 401:
                assert answer["WWW-Authenticate"].startswith("Bearer")
    assert client.get("/api/v1/audits/").status_code == 401


def test_staff_without_rights_see_no_names(house: House) -> None:
    ImportJob.objects.create(dataset=house.dataset, name="secret import", state=JobState.RUNNING)
    FailedTask.objects.create(name="ingest.secret", error="secret error")
    staff, client = house.user("staff"), house.client("staff")
    page = client.get("/admin/").content.decode()
    assert "secret" not in page
    assert "Letters" not in page
    wanted = ["view_importjob", "view_failedtask"]
    staff.user_permissions.set(Permission.objects.filter(codename__in=wanted))
    page = client.get("/admin/").content.decode()
    assert "ingest.secret" in page
    assert "Letters" in page


def test_a_taken_slug_does_not_say_who_has_it(house: House) -> None:
    create_dataset(name="x", owner=house.user("outsider"), slug="mine", visibility="public")
    client = house.client("editor")
    sentences = set()
    for slug in ("letters", "mine"):
        answer = client.post(
            "/api/v1/datasets/", {"name": "x", "slug": slug}, content_type="application/json"
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "slug_taken")
        sentences.add(answer.json()["detail"].replace(slug, ""))
    assert len(sentences) == 1
    assert "dataset" not in sentences.pop()


# Ids.


def test_every_answer_has_an_id_of_its_own(house: House) -> None:
    client = house.client("anonymous")
    paths = ["/", "/nothing", "/api/v1/nothing/", "/healthz", "/robots.txt"]
    ids = [client.get(path)["X-Request-ID"] for path in paths]
    assert len(set(ids)) == len(paths)
    assert all(re.fullmatch("[0-9a-f]{16}", number) for number in ids)


@pytest.mark.parametrize("sent", ["abc-1", "x" * 65, "a\tb", "ä"])
def test_ids_of_a_proxy_are_taken_where_it_is_believed(
    house: House, settings: Any, sent: str
) -> None:
    client = house.client("anonymous")
    assert client.get("/healthz", headers={"X-Request-ID": sent})["X-Request-ID"] != sent
    settings.PROXY_HEADERS = True
    answer = client.get("/healthz", headers={"X-Request-ID": sent})
    assert (answer["X-Request-ID"] == sent) is (sent == "abc-1")


def test_the_log_names_the_request(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("of this test")

    monkeypatch.setattr("searchapp.pages.credits.render", fail)
    caplog.handler.addFilter(RequestIdFilter())
    client = house.client("anonymous")
    client.raise_request_exception = False
    answer = client.get("/credits/")
    assert answer.status_code == 500
    assert answer["X-Request-ID"] in answer.content.decode()
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert record.__dict__["request_id"] == f" [{answer['X-Request-ID']}]"


@pytest.mark.parametrize(
    ("status", "noted"), [(500, True), (507, True), (501, False), (503, False), (504, False)]
)
def test_what_strangers_cause_is_no_error_of_ours(status: int, noted: bool, settings: Any) -> None:
    faults = settings.LOGGING["filters"]["faults"]["callback"]
    record = logging.makeLogRecord({"status_code": status})
    assert bool(faults(record)) is noted


# For machines.


def test_robots_are_told_what_is_not_for_them(house: House) -> None:
    answer = house.client("anonymous").get("/robots.txt")
    assert answer["Content-Type"].startswith("text/plain")
    assert "Disallow: /search/" in answer.content.decode()


def test_the_icon_is_where_browsers_look(house: House) -> None:
    answer = house.client("anonymous").get("/favicon.ico")
    assert (answer.status_code, answer["Location"]) == (301, "/static/favicon.ico")
    icon = Path(__file__).parents[2] / "static" / "favicon.ico"
    assert icon.read_bytes()[:4] == b"\0\0\1\0"


def test_a_security_contact_is_told_where_there_is_one(house: House, settings: Any) -> None:
    client = house.client("anonymous")
    assert client.get("/.well-known/security.txt").status_code == 404
    settings.SECURITY_CONTACT = ["mailto:security@example.org"]
    text = client.get("/.well-known/security.txt").content.decode()
    assert "Contact: mailto:security@example.org\n" in text
    assert re.search(r"^Expires: 20\d\d-\d\d-\d\dT[0-9:]+\+00:00$", text, re.MULTILINE)
    assert "Canonical: http://testserver/.well-known/security.txt\n" in text
