"""A second index in a whole application: built under search and kill -9, compared, switched."""

from __future__ import annotations

import threading
from typing import Any

import requests

from harness.installation import Client, Installation, wait_until
from harness.kills import kill_tree
from tests.application import census
from tests.application.pictures import pictures

IMAGES = 60
OTHER = "image-embedding-efficientnet-lite0:exact"


class Searcher:
    """Somebody who searches all the time, and notes what was not answered as it should be."""

    def __init__(self, client: Client, slug: str, image: int) -> None:
        self.client, self.slug, self.image = client, slug, image
        self.bad: list[str] = []
        self.done = 0
        self.milvus_is_there = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Searcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def is_answered(self) -> bool:
        """Whether every process of the web server has its connection to Milvus again.

        A new connection may come to any of them; one that is kept open stays with one.
        """
        close = {"Connection": "close"}
        return all(self._search(headers=close).status_code == 200 for _ in range(20))

    def _search(self, **options: Any) -> requests.Response:
        body = {"image_id": self.image, "dataset": self.slug, "top_k": 5}
        return self.client.post("/search/", json=body, **options)

    def _work(self) -> None:
        while not self._stop.wait(0.1):
            expected = self.milvus_is_there
            answer = self._search()
            if not (expected and self.milvus_is_there):
                continue
            self.done += 1
            ids = [one["image"]["id"] for one in answer.json().get("results", [])]
            if answer.status_code != 200 or len(ids) != 5 or ids[0] != self.image:
                self.bad.append(answer.text[:300])


def test_an_index_is_built_under_search_and_kill_9_then_switched_and_back(
    survivor: Installation,
) -> None:
    client = Client(survivor.url, survivor.key("write"))
    others = len(census.all_vectors(f"unix:{survivor.data}/run/milvus.sock"))
    slug = client.dataset("Many")
    sent = list(pictures(IMAGES, 31).items())
    answers = [client.upload(slug, *sent[start : start + 40]) for start in range(0, IMAGES, 40)]
    for answer in answers:
        client.finished(answer["job"])
    (first,) = client.get(f"/datasets/{slug}/indexes/").json()["results"]
    with Searcher(client, slug, answers[0]["items"][0]["id"]) as searcher:
        created = client.post(f"/datasets/{slug}/indexes/", json={"pipeline": OTHER})
        assert created.status_code == 202, created.text
        index = created.json()["id"]

        def state() -> dict[str, Any]:
            return client.get(f"/indexes/{index}/").json()  # type: ignore[no-any-return]

        wait_until(lambda: state()["progress"]["done"] > 0, "the build does not begin")
        kill_tree(survivor.process("ingest"))
        before = state()["progress"]["done"]
        late = client.upload(slug, *pictures(3, 32).items())
        wait_until(lambda: state()["progress"]["done"] > before, "the build does not go on")
        searcher.milvus_is_there = False
        survivor.kill("milvus")
        survivor.wait_ready()
        wait_until(searcher.is_answered, "searches are not answered again")
        searcher.milvus_is_there = True
        wait_until(lambda: state()["state"] == "ready", "the index is not built")
        client.finished(late["job"])
        compared = client.get(f"/indexes/{first['id']}/compare/", params={"with": index}).json()
        assert compared["sampled"] == compared["a"]["found_itself"] == compared["b"]["found_itself"]
        comparison = survivor.manage("index", "compare", str(first["id"]), str(index)).stdout
        assert f"overlap@10 {100 * compared['overlap']:.1f} %" in comparison
        assert client.post(f"/indexes/{index}/activate/").json()["state"] == "active"
        picture = next(iter(pictures(1, 33).values()))
        wait_until(
            lambda: client.search(picture, dataset=slug).json()["pipeline"]["name"] == OTHER,
            "searches do not use the new index",
        )
        assert client.post(f"/datasets/{slug}/indexes/rollback/").json()["id"] == first["id"]
    assert searcher.bad == []
    assert searcher.done > 10
    audited = survivor.manage("audit", check=False)
    assert (audited.returncode, audited.stderr) == (0, ""), audited.stdout
    assert f"{others + 2 * (IMAGES + 3)} vectors (vectors_orphaned)" in audited.stdout
    assert client.post(f"/indexes/{index}/retire/").json()["state"] == "retired"
    assert f"{others + IMAGES + 3} vectors (vectors_orphaned)" in survivor.manage("audit").stdout


def test_an_audit_by_workers_ends(survivor: Installation, owner: Client) -> None:
    begun = owner.post("/audits/", json={"deep": True})
    assert begun.status_code == 202, begun.text

    def ended() -> dict[str, Any] | None:
        report = owner.get(f"/audits/{begun.json()['id']}/").json()
        return report if report["ended"] else None

    report = wait_until(ended, "the audit does not end")
    assert (report["left"], report["error_detail"]) == (0, "")
