"""kill -9 in the middle of an import: nothing acknowledged is lost, nothing is there twice.

All disasters strike one installation, one after the other, each in the middle of an import of new
images and none waiting for the recovery from the one before. Then the tests look at what became of
them. The short series kills each process once; the long one also kills single children. The kills
of the query worker and of beat are in test_commands, that of the supervisor in test_data_folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from harness.installation import Client, Installation, wait_until
from harness.kills import DISASTERS
from tests.application import census
from tests.application.pictures import pictures

REQUESTS = 10
SHORT = ("ingest worker, all of it", "Milvus", "Redis", "web server, its master")


@dataclass
class Import:
    """Pictures on their way, sent in several requests by a client that does not give up."""

    slug: str
    pictures: dict[str, bytes]
    ids: dict[str, int] = field(default_factory=dict)  # by name: the acknowledged ones
    requests_done: int = 0

    def send(self, client: Client) -> None:
        files = list(self.pictures.items())
        size = len(files) // REQUESTS
        for start in range(0, len(files), size):
            part = [("file", file) for file in files[start : start + size]]
            for item in self._insist(client, part):
                assert item["error"] is None, item
                assert self.ids.setdefault(item["name"], item["id"]) == item["id"]
            self.requests_done += 1

    def _insist(
        self, client: Client, part: list[tuple[str, tuple[str, bytes]]]
    ) -> list[dict[str, Any]]:
        def attempt() -> list[dict[str, Any]] | None:
            with contextlib.suppress(requests.ConnectionError):
                answer = client.post(f"/datasets/{self.slug}/images/", files=part)
                assert answer.status_code == 202, answer.text
                return answer.json()["items"]  # type: ignore[no-any-return]
            return None

        return wait_until(attempt, "uploads do not get through")


@contextlib.contextmanager
def _sending(one: Import, client: Client) -> Iterator[None]:
    failures: list[BaseException] = []

    def send() -> None:
        try:
            one.send(client)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if failures:
        raise failures[0]


def _wait_for_the_middle(one: Import, client: Client) -> None:
    """Return when some of the images are ready and more are not.

    What an earlier disaster left comes first: images are taken in the order of their arrival.
    """

    def check() -> bool:
        counts = client.get(f"/datasets/{one.slug}/").json()["counts"]
        assert counts["ready"] < len(one.pictures), "the import was over before the disaster"
        return bool(one.requests_done > REQUESTS // 4 and counts["ready"] and counts["processing"])

    wait_until(check, f"none of the images of {one.slug} is ready")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((SHORT, 100), id="short"),
        pytest.param((tuple(DISASTERS), 200), id="long", marks=pytest.mark.long),
    ],
)
def aftermath(
    request: pytest.FixtureRequest, _survivor: Installation, owner: Client
) -> dict[str, Import]:
    """Let disasters strike, each in the middle of its import; return what was acknowledged."""
    disasters, images = request.param
    imports: dict[str, Import] = {}
    # A session of its own: requests' sessions are not made for several threads.
    sender = Client(_survivor.url)
    sender.session.headers.update(owner.session.headers)
    for number, disaster in enumerate(disasters):
        program, strike = DISASTERS[disaster]
        _survivor.wait_ready()
        slug = owner.dataset(disaster)
        one = imports[disaster] = Import(slug, pictures(images, seed=1000 * images + number))
        process = _survivor.process(program)
        with _sending(one, sender):
            _wait_for_the_middle(one, owner)
            strike(process)
    _survivor.wait_ready()
    return imports


def test_every_acknowledged_image_arrives_once(
    survivor: Installation, owner: Client, aftermath: dict[str, Import]
) -> None:
    for disaster, one in aftermath.items():
        sent = len(one.pictures)
        assert len(set(one.ids.values())) == len(one.ids) == sent, disaster

        counts = census.settled(owner, one.slug)

        arrived = census.images(owner, one.slug)
        assert counts["ready"] == counts["total"] == len(arrived) == sent, (disaster, counts)
        assert {image["id"] for image in arrived} == set(one.ids.values()), disaster
        assert {image["sha256"] for image in arrived} == {
            hashlib.sha256(picture).hexdigest() for picture in one.pictures.values()
        }, disaster


def test_search_finds_what_arrived(
    survivor: Installation, owner: Client, aftermath: dict[str, Import]
) -> None:
    for disaster, one in aftermath.items():
        census.settled(owner, one.slug)
        for name in sorted(one.pictures)[::40]:
            answer = owner.search(one.pictures[name], dataset=one.slug, top_k=1)
            assert answer.status_code == 200, (disaster, answer.text)
            (best,) = answer.json()["results"]
            assert best["image"]["id"] == one.ids[name], disaster
            assert best["score"] > 0.999, disaster


def test_the_vector_store_holds_one_vector_of_each(
    survivor: Installation, owner: Client, aftermath: dict[str, Import]
) -> None:
    for one in aftermath.values():
        census.settled(owner, one.slug)
    stored = census.all_vectors(f"unix:{survivor.data}/run/milvus.sock")
    assert stored == census.all_ready(owner)
    assert len(stored) >= sum(len(one.pictures) for one in aftermath.values())
