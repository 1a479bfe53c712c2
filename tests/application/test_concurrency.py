"""Several people send the same bytes at the same moment: one image, one answer, nothing left."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from harness.installation import Client, Installation
from tests.application import census
from tests.application.pictures import pictures

PEOPLE = 8


def test_the_same_bytes_at_the_same_moment_are_one_image(
    survivor: Installation, owner: Client
) -> None:
    slug = owner.dataset("the same moment")
    together = threading.Barrier(PEOPLE)

    def upload(picture: bytes) -> dict[str, Any]:
        person = Client(survivor.url)
        person.session.headers.update(owner.session.headers)
        person.get("/datasets/")  # connected before the start
        together.wait(60)
        (item,) = person.upload(slug, ("same.jpg", picture))["items"]
        return item  # type: ignore[no-any-return]

    rounds = pictures(5, seed=200)
    for picture in rounds.values():
        with ThreadPoolExecutor(PEOPLE) as people:
            items = list(people.map(upload, [picture] * PEOPLE))
        assert len({item["id"] for item in items}) == 1
        assert Counter(item["duplicate"] for item in items) == {True: PEOPLE - 1, False: 1}
        assert [item["error"] for item in items] == [None] * PEOPLE

    counts = census.settled(owner, slug)
    assert counts["ready"] == counts["total"] == len(rounds)
    stored = census.all_vectors(f"unix:{survivor.data}/run/milvus.sock")
    ids = [image["id"] for image in census.images(owner, slug)]
    assert sorted(pk for pk in stored if pk in ids) == sorted(ids)


def test_the_same_bytes_are_searched_with_at_the_same_moment(
    survivor: Installation, owner: Client
) -> None:
    """A refused query takes its picture away again; nobody else's search may suffer from it."""
    slug = owner.dataset("searched at the same moment")
    (picture,) = pictures(1, seed=210).values()
    (item,) = owner.upload(slug, ("a.jpg", picture))["items"]
    census.settled(owner, slug)
    queries = survivor.data / "files" / "queries"
    before = {path.name for path in queries.rglob("*") if path.is_file()}
    together = threading.Barrier(PEOPLE)

    def ask(picture: bytes) -> requests.Response:
        person = Client(survivor.url)
        person.session.headers.update(owner.session.headers)
        person.get("/datasets/")
        together.wait(60)
        return person.search(picture, dataset=slug)

    refused = [b"no picture %d" % number for number in range(5)]
    good = list(pictures(2, seed=211).values())
    for picture in [*refused, *good]:
        with ThreadPoolExecutor(PEOPLE) as people:
            answers = list(people.map(ask, [picture] * PEOPLE))
        if picture in good:
            assert [answer.status_code for answer in answers] == [200] * PEOPLE
            ids = {match["image"]["id"] for a in answers for match in a.json()["results"]}
            assert ids == {item["id"]}
        else:
            assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {
                (422, "not_a_picture")
            }
    kept = {path.name for path in queries.rglob("*") if path.is_file()}
    assert kept - before == {hashlib.sha256(picture).hexdigest() for picture in good}
