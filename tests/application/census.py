"""Who is there: what the API says of a dataset, beside what the vector store holds."""

from __future__ import annotations

from typing import Any

from harness.installation import READY_SECONDS, Client, wait_until
from searchapp.infra.vectors.store import VectorStore

# A dead worker's claim lasts half a minute, and a busy machine takes its time.
PATIENCE = 2 * READY_SECONDS


def settled(client: Client, slug: str) -> dict[str, int]:
    """Wait until every image of the dataset has its outcome; return the counts by state."""

    def check() -> dict[str, int] | None:
        counts: dict[str, int] = client.get(f"/datasets/{slug}/").json()["counts"]
        return None if counts["received"] or counts["processing"] else counts

    return wait_until(check, f"images of {slug} have no outcome", PATIENCE)


def images(client: Client, slug: str) -> list[dict[str, Any]]:
    """Return every image of the dataset, page after page."""
    results: list[dict[str, Any]] = []
    page = client.get(f"/datasets/{slug}/images/", params={"page_size": "200"}).json()
    results += page["results"]
    while page["next"]:
        page = client.session.get(page["next"], timeout=60).json()
        results += page["results"]
    return results


def all_ready(client: Client) -> list[int]:
    """Return the ids of the images of all datasets that are ready, sorted."""
    slugs = [dataset["slug"] for dataset in client.get("/datasets/").json()["results"]]
    return sorted(
        image["id"] for slug in slugs for image in images(client, slug) if image["state"] == "ready"
    )


def all_vectors(uri: str) -> list[int]:
    """Return the id of every row in every collection, sorted; an id stored twice is there twice."""
    store = VectorStore(uri)
    try:
        return sorted(pk for name in store.collections() for pk in store.ids(name))
    finally:
        store.close()
