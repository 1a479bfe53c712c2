"""Redis or Milvus is away, or there and silent: searches say so, uploads wait, all comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import requests

from harness.installation import Client, Installation, wait_until
from tests.application import census
from tests.application.conftest import Production
from tests.application.pictures import pictures
from tests.application.services import Service, Services

CODES = {"redis": "queue_unavailable", "milvus": "vectors_unavailable"}
NAMES = {"redis": "Redis", "milvus": "Milvus"}
# Patience with a refusal that should come within a few seconds; without one, a request would wait
# for half a minute and more.
PATIENCE = 25


@dataclass
class Scene:
    installation: Installation
    services: Services
    owner: Client
    slug: str
    pictures: Iterator[tuple[str, bytes]]  # each new to everybody
    known: tuple[bytes, int]  # a picture that is ready, and its id


@pytest.fixture(scope="module")
def scene(production: Production) -> Scene:
    installation = production.installation
    owner = Client(installation.url, installation.key("write"))
    slug = owner.dataset("weather", "public")
    new = iter(pictures(40, seed=300).items())
    name, picture = next(new)
    (item,) = owner.upload(slug, (name, picture))["items"]
    assert census.settled(owner, slug)["ready"] == 1
    return Scene(installation, production.services, owner, slug, new, (picture, item["id"]))


@contextmanager
def _away(service: Service, how: str) -> Iterator[None]:
    if how == "absent":
        service.kill()
    else:
        service.hang()
    try:
        yield
    finally:
        if how == "absent":
            service.start()
        else:
            service.wake()


@pytest.fixture(
    scope="class",
    params=[("redis", "absent"), ("redis", "hung"), ("milvus", "absent"), ("milvus", "hung")],
    ids=" ".join,
)
def outage(request: pytest.FixtureRequest, scene: Scene) -> Iterator[tuple[str, str]]:
    """One service is away while all tests of it run, in one of two ways."""
    name, how = request.param
    scene.installation.wait_ready()
    with _away(scene.services.by_name[name], how):
        yield request.param
    scene.installation.wait_ready()


class TestAway:
    """What is said while a service is away: one outage for all of these tests."""

    def test_searches_say_so(self, scene: Scene, outage: tuple[str, str]) -> None:
        name, _ = outage
        file = {"image": next(scene.pictures)}
        answer = scene.owner.session.post(
            f"{scene.owner.base}/search/",
            files=file,
            data={"dataset": scene.slug},
            timeout=PATIENCE,
        )
        assert answer.status_code == 503, answer.text
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
        problem = answer.json()
        assert problem["code"] == CODES[name]
        assert NAMES[name] in problem["detail"]
        assert problem["detail"].endswith(".")

    def test_the_search_page_says_so(self, scene: Scene, outage: tuple[str, str]) -> None:
        name, _ = outage
        visitor = requests.Session()
        home = visitor.get(f"{scene.installation.url}/", timeout=PATIENCE)
        assert home.status_code == 200
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', home.text)
        assert token is not None
        answer = visitor.post(
            f"{scene.installation.url}/search/",
            data={"csrfmiddlewaretoken": token[1], "dataset": scene.slug},
            files={"picture": next(scene.pictures)},
            timeout=PATIENCE,
        )
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert re.search(rf"{NAMES[name]}\) cannot be reached", answer.text)

    def test_readyz_names_it(self, scene: Scene, outage: tuple[str, str]) -> None:
        name, _ = outage
        answer = requests.get(f"{scene.installation.url}/readyz", timeout=PATIENCE)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        body = answer.json()
        assert body[name]["state"] == "down"
        assert body["database"]["state"] == "ok"
        assert (
            requests.get(f"{scene.installation.url}/healthz", timeout=PATIENCE).status_code == 200
        )


@pytest.mark.parametrize("how", ["absent", "hung"])
@pytest.mark.parametrize("name", ["redis", "milvus"])
def test_uploads_are_taken_and_done_later(scene: Scene, name: str, how: str) -> None:
    scene.installation.wait_ready()
    files = [next(scene.pictures) for _ in range(3)]
    before = census.settled(scene.owner, scene.slug)["ready"]
    with _away(scene.services.by_name[name], how):
        answer = scene.owner.session.post(
            f"{scene.owner.base}/datasets/{scene.slug}/images/",
            files=[("file", file) for file in files],
            timeout=PATIENCE,
        )
        assert answer.status_code == 202, answer.text
        ids = [item["id"] for item in answer.json()["items"]]
        counts = scene.owner.get(f"/datasets/{scene.slug}/").json()["counts"]
        assert counts["total"] == before + len(files)
        # A call that a worker received before Redis went takes whatever is waiting: it names no
        # images (`worker.tasks.ingest.process`). Without Milvus none is finished.
        assert name == "redis" or counts["ready"] == before

    counts = census.settled(scene.owner, scene.slug)
    assert counts["ready"] == counts["total"] == before + len(files)
    for pk, (_, picture) in zip(ids, files, strict=True):
        assert _best(scene, picture) == pk
    stored = census.all_vectors(scene.services.milvus_uri)
    assert stored == census.all_ready(scene.owner)


def test_what_is_deleted_while_milvus_is_away_is_forgotten_later(scene: Scene) -> None:
    scene.installation.wait_ready()
    (item,) = scene.owner.upload(scene.slug, next(scene.pictures))["items"]
    census.settled(scene.owner, scene.slug)
    with _away(scene.services.by_name["milvus"], "absent"):
        assert scene.owner.delete(f"/images/{item['id']}/").status_code == 204
        assert scene.owner.get(f"/images/{item['id']}/").status_code == 404

    def forgotten() -> bool:
        return item["id"] not in census.all_vectors(scene.services.milvus_uri)

    scene.installation.wait_ready()
    wait_until(forgotten, "the vector of a deleted image is still there")
    picture, pk = scene.known
    assert _best(scene, picture) == pk


def _best(scene: Scene, picture: bytes) -> int:
    def search() -> int | None:
        answer = scene.owner.search(picture, dataset=scene.slug, top_k=1)
        if answer.status_code == 503:  # a service may still be on its way back
            return None
        assert answer.status_code == 200, answer.text
        return int(answer.json()["results"][0]["image"]["id"])

    return wait_until(search, "searches do not recover")
