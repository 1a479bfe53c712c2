"""Searches over HTTP under load: repeated, concurrent, during an import, with boxes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.ingest.imports import make_files
from benchmarks.peer import Peer
from benchmarks.search.http_client import SearchClient
from harness.installation import Client, Installation

AT_ONCE = 20
TOP_K = 20


@dataclass(frozen=True)
class Load:
    """Times of concurrent searches."""

    seconds: float
    each: list[float]  # milliseconds

    @property
    def rate(self) -> float:
        return len(self.each) / self.seconds


@dataclass(frozen=True)
class Boxes:
    """Milliseconds of searches with one large image: whole, with a first box, with others."""

    whole: dict[str, float]
    first: dict[str, float]
    others: list[dict[str, float]]


class Searches:
    """Searches in one dataset with an API key, over keep-alive connections."""

    def __init__(self, installation: Installation, slug: str) -> None:
        self._url, self._key, self._slug = installation.url, installation.key("read"), slug

    def client(self, **fields: str | int) -> SearchClient:
        defaults: dict[str, str | int] = {"dataset": self._slug, "top_k": TOP_K}
        return SearchClient(self._url, self._key, **defaults, **fields)

    def one_by_one(self, pictures: Sequence[Path]) -> list[float]:
        """Search with each image in turn; return the milliseconds of each."""
        with self.client() as client:
            return [client.search(picture)[0] for picture in pictures]

    def at_once(self, pictures: Sequence[Path], **fields: str | int) -> Load:
        """Search with all images, `AT_ONCE` at a time, each over its own connection."""
        with ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as threads:
            clients = [stack.enter_context(self.client(**fields)) for _ in range(AT_ONCE)]
            begin = threading.Barrier(AT_ONCE + 1)

            def work(place: int) -> list[float]:
                begin.wait()
                return [clients[place].search(picture)[0] for picture in pictures[place::AT_ONCE]]

            working = [threads.submit(work, place) for place in range(AT_ONCE)]
            begin.wait()
            started = time.perf_counter()
            each = [milliseconds for future in working for milliseconds in future.result()]
            return Load(time.perf_counter() - started, each)

    def by_boxes(self, picture: Path, boxes: Sequence[str]) -> Boxes:
        """Search with an image, then with boxes of it, by the first answer's query id."""
        with self.client() as client:
            took, answer = client.search(picture)
            query_id = answer["query"]["id"]
            parts = [_told(*client.search_kept(query_id, box)) for box in boxes]
        return Boxes(_told(took, answer), parts[0], parts[1:])


def _told(took: float, answer: dict[str, Any]) -> dict[str, float]:
    return {**answer["took_ms"], "all": took}


def in_batch(peer: Peer, pictures: Sequence[Path]) -> float:
    """Return searches a second of the library in batches of `AT_ONCE`, in one process."""
    total = 0.0
    for start in range(0, len(pictures), AT_ONCE):
        part = pictures[start : start + AT_ONCE]
        sample = peer.ask("\t".join(map(str, part)))
        total += sum(sample[stage] for stage in ("decode", "embed", "search"))
    return 1000 * len(pictures) / total


@contextmanager
def importing(installation: Installation, root: Path, files: int) -> Iterator[None]:
    """Run an import of a server folder during the block; cancel it at the end."""
    make_files(root / "imported", files, seed=73)
    client = Client(installation.url, installation.key("write"))
    slug = client.dataset("Imported")
    answer = client.post(
        f"/datasets/{slug}/imports/", json={"kind": "folder", "location": str(root / "imported")}
    )
    if answer.status_code != 201:
        raise RuntimeError(f"the import was answered with {answer.status_code}: {answer.text}")
    key = answer.json()["id"]
    while client.job(key)["ready"] < files // 50:  # until the workers have loaded their models
        time.sleep(0.2)
    yield
    job = client.job(key)
    if job["state"].startswith("finished"):
        raise RuntimeError("the import was over before the searches were")
    client.post(f"/jobs/{key}/cancel/")
