"""The same program on PostgreSQL: rows, locks on contents, claims and deletion."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from harness.installation import Client, Installation, wait_until
from tests.application.conftest import Production
from tests.pictures import blurred_picture

OTHER = "image-embedding-efficientnet-lite0:exact"


@pytest.fixture
def on_postgresql(production: Production) -> Installation:
    return production.installation


def test_upload_search_and_delete(on_postgresql: Installation) -> None:
    client = Client(on_postgresql.url, on_postgresql.key())
    slug = client.dataset("On PostgreSQL")
    pictures = [blurred_picture(n) for n in range(40)]
    job = client.upload(slug, *[(f"{n}.jpg", data) for n, data in enumerate(pictures)])["job"]
    done = client.finished(job)
    assert (done["ready"], done["state"]) == (40, "finished")
    best = client.search(pictures[7], dataset=slug, top_k="3").json()["results"][0]
    assert best["image"]["id"] == done["items"][7]["id"]
    assert client.delete(f"/images/{best['image']['id']}/").status_code == 204
    again = client.search(pictures[7], dataset=slug, top_k="200").json()["results"]
    assert len(again) == 39
    assert client.delete(f"/datasets/{slug}/").status_code == 204


def test_vectors_can_be_built_again(on_postgresql: Installation) -> None:
    client = Client(on_postgresql.url, on_postgresql.key())
    slug = client.dataset("Lost and found")
    done = client.finished(client.upload(slug, ("a.jpg", blurred_picture(100)))["job"])
    lose = (
        "from searchapp.models import Dataset; from searchapp.infra.vectors.store import get_store;"
        f"get_store().drop(Dataset.objects.get(slug='{slug}').active_index.collection)"
    )
    on_postgresql.manage("shell", "-c", lose)
    assert client.search(blurred_picture(100), dataset=slug).json()["results"] == []
    output = on_postgresql.manage("audit", "--repair", "--dataset", slug).stdout
    assert "1 found, 1 repaired, 0 left" in output

    def is_found() -> bool:
        results = client.search(blurred_picture(100), dataset=slug).json()["results"]
        return [match["image"]["id"] for match in results] == [done["items"][0]["id"]]

    wait_until(is_found, "the picture is not found again")


def _ended(client: Client, address: str, ended: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    def check() -> dict[str, Any] | None:
        body: dict[str, Any] = client.get(address).json()
        return body if ended(body) else None

    return wait_until(check, f"{address} does not come to its end")


def _imported(client: Client, job: str) -> int:
    body = _ended(client, f"/jobs/{job}/", lambda body: body["state"].startswith("finished"))
    return int(body["ready"])


def _audited(client: Client, **options: Any) -> dict[str, Any]:
    begun = client.post("/audits/", json={"deep": True, **options}).json()
    return _ended(client, f"/audits/{begun['id']}/", lambda body: body["ended"] is not None)


def _count(client: Client, slug: str) -> int:
    return int(client.get(f"/datasets/{slug}/").json()["counts"]["ready"])


def test_indexes_many_pictures_at_once_audits_and_purging(on_postgresql: Installation) -> None:
    client = Client(on_postgresql.url, on_postgresql.key())
    slug, other = client.dataset("Managed"), client.dataset("Elsewhere")
    pictures = [blurred_picture(200 + n) for n in range(12)]
    sent = client.upload(slug, *[(f"{n}.jpg", data) for n, data in enumerate(pictures)])
    keys = [item["id"] for item in client.finished(sent["job"])["items"]]

    # A second index: built, compared, activated, rolled back, retired.
    first = client.get(f"/datasets/{slug}/indexes/").json()["results"][0]["id"]
    index = client.post(f"/datasets/{slug}/indexes/", json={"pipeline": OTHER}).json()["id"]
    _ended(client, f"/indexes/{index}/", lambda body: body["state"] == "ready")
    compared = client.get(f"/indexes/{first}/compare/", params={"with": index}).json()
    assert (compared["sampled"], compared["b"]["found_itself"]) == (12, 12)
    assert client.post(f"/indexes/{index}/activate/").json()["state"] == "active"
    assert client.post(f"/datasets/{slug}/indexes/rollback/").json()["id"] == first
    assert client.post(f"/indexes/{index}/retire/").json()["state"] == "retired"

    # Many at once: labels, tags, deletion and its undoing, moving, copying.
    def bulk(**body: Any) -> dict[str, Any]:
        answer = client.post(f"/datasets/{slug}/bulk/", json=body)
        assert answer.status_code in (200, 202), answer.text
        return answer.json()  # type: ignore[no-any-return]

    assert bulk(action="label", label="cat", ids=keys[:4])["number"] == 4
    cats = {"state": "ready", "label": "cat"}
    assert bulk(action="tags", add_tags=["red"], filter=cats)["number"] == 4
    dogs = bulk(action="label", label="dog", filter=cats)
    assert bulk(action="undo", edit=dogs["edit"])["number"] == 4
    assert bulk(action="tags", add_tags=["blue"], filter=cats)["number"] == 4
    gone = bulk(action="delete", filter=cats)
    assert (gone["number"], _count(client, slug)) == (4, 8)
    back = {"state": "deleted", "deleted_at": gone["deleted_at"]}
    assert bulk(action="restore", filter=back)["number"] == 4
    wait_until(lambda: _count(client, slug) == 12, "what was brought back is not ready")
    moved = bulk(action="move", target=other, filter=cats)
    assert _imported(client, moved["job"]) == 4
    assert _count(client, slug) == 8  # it is finished when they have left
    copied = client.post(f"/datasets/{slug}/copy/", json={"name": "Twin"}).json()
    assert _imported(client, copied["job"]) == 8

    # Vectors are lost and found by an audit; what is deleted is purged, and nothing else.
    lose = (
        "from searchapp.models import Dataset; from searchapp.infra.vectors.store import get_store;"
        f"index = Dataset.objects.get(slug='{other}').active_index;"
        f"get_store().delete(index.collection, index.dataset.images.values_list('pk', flat=True))"
    )
    on_postgresql.manage("shell", "-c", lose)
    assert _audited(client, repair=True)["counts"]["vectors_missing"] == {"found": 4, "repaired": 4}
    assert client.delete(f"/datasets/{slug}/").status_code == 204
    assert client.post(f"/datasets/{slug}/restore/").status_code == 200
    assert client.delete(f"/datasets/{slug}/").status_code == 204
    purge = (
        "from datetime import timedelta; from django.utils import timezone;"
        "from searchapp.models import Dataset, Image;"
        "from searchapp.services.datasets import dataset_deletion;"
        "long_ago = timezone.now() - timedelta(days=2);"
        "Image.objects.filter(state='deleted').update(deleted_at=long_ago);"
        "Dataset.objects.exclude(deleted=None).update(deleted=long_ago);"
        "print(dataset_deletion.purge(), Dataset.objects.exclude(deleted=None).count(),"
        "Image.objects.filter(state='deleted').count())"
    )
    assert on_postgresql.manage("shell", "-c", purge).stdout.split()[-3:] == ["False", "0", "0"]
    assert (_count(client, other), _count(client, copied["dataset"]["slug"])) == (4, 8)
    report = _audited(client)
    assert (report["left"], report["error_detail"]) == (0, ""), report["findings"]


# PostgreSQL takes no text with it; SQLite would.
NUL = """
from django.contrib.auth.models import User
from django.test import Client
client = Client(SERVER_NAME="127.0.0.1", raise_request_exception=False)
client.force_login(User.objects.get(username="admin"))
for method, address, sent in (
    ("get", "/datasets/asked/", {"label": "a\\0"}),
    ("get", "/datasets/", {"after": "a\\0"}),
    ("get", "/", {"dataset": "a\\0"}),
    ("get", "/jobs/", {"before": "a\\0"}),
    ("get", "/api/v1/datasets/asked/members/a%00/", {}),
    ("post", "/search/", {"dataset": "a\\0", "address": "a\\0"}),
    ("post", "/datasets/asked/copy/", {"name": "a\\0"}),
    ("post", "/datasets/asked/bulk/", {"action": "copy", "image": "1", "target": "a\\0"}),
    ("post", "/datasets/asked/bulk/", {"action": "label", "all": "1", "of_label": "a\\0"}),
    ("post", "/datasets/asked/members/change/", {"username": "a\\0", "action": "remove"}),
    ("post", "/datasets/asked/members/change/", {"username": "a\\0", "role": "viewer"}),
    ("post", "/datasets/asked/indexes/", {"pipeline": "a\\0"}),
    ("post", "/datasets/asked/import/", {"folder": "a\\0", "name": "a\\0"}),
    ("post", "/audit/", {"dataset": "a\\0"}),
):
    status = getattr(client, method)(address, sent).status_code
    if status >= 500:
        print("FAILED", method, address, sent, status)
"""


def test_the_character_nul_is_no_reason_to_fail(on_postgresql: Installation) -> None:
    Client(on_postgresql.url, on_postgresql.key()).dataset("Asked")
    output = on_postgresql.manage("shell", "-c", NUL).stdout
    assert [line for line in output.splitlines() if line.startswith("FAILED")] == []


def test_the_same_bytes_at_the_same_moment_are_one_image(on_postgresql: Installation) -> None:
    key = on_postgresql.key()
    slug = Client(on_postgresql.url, key).dataset("At once")
    start = threading.Barrier(6)
    ids: list[int] = []

    def send() -> None:
        client = Client(on_postgresql.url, key)
        start.wait()
        answer = client.upload(slug, *[(f"{n}.jpg", blurred_picture(n)) for n in range(5)])
        ids.extend(item["id"] for item in answer["items"])

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 30
    assert len(set(ids)) == 5
