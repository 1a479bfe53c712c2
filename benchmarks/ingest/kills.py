"""Benchmark of crash safety: kill -9 during imports and re-indexing; lost and duplicate images."""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from benchmarks.ingest.imports import make_files
from benchmarks.installation.processes import place
from benchmarks.options import Options
from benchmarks.report import Findings, Table
from harness.installation import Client, Installation, wait_until
from harness.kills import DISASTERS
from searchapp.infra.vectors.collection_names import collection_name
from searchapp.infra.vectors.store import VectorStore

SEED = 5
FILES = 600
PIPELINES = ("image-embedding-efficientnet-lite0:gem", "image-embedding-efficientnet-lite0:exact")
# Seconds between two kills; a dead worker's leases expire after thirty seconds.
_MIN_PAUSE, _MAX_PAUSE = 2.0, 12.0
_YOUNG_SECONDS = 30.0
_PATIENCE_SECONDS = 1800.0


@dataclass
class Struck:
    """The kills, counted by phase."""

    installation: Installation
    client: Client
    chosen: random.Random = field(default_factory=lambda: random.Random(SEED))
    kills: dict[str, Counter[str]] = field(default_factory=dict)
    struck: dict[str, float] = field(default_factory=dict)  # time of the last kill, by program

    def until(self, phase: str, most: int, ended: Callable[[], Any]) -> None:
        """Kill processes at random moments until the work has ended, at most `most` in this phase;
        then wait for the end."""
        counter = self.kills.setdefault(phase, Counter())
        deadline = time.monotonic() + _PATIENCE_SECONDS
        strike_at = time.monotonic() + self.chosen.uniform(0.5, _MIN_PAUSE)
        while not self._ask(ended):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{phase} does not come to an end")
            is_time = time.monotonic() >= strike_at and self._old_enough()
            if counter.total() < most and is_time:
                disaster = self.chosen.choice(self._old_enough())
                program, strike = DISASTERS[disaster]
                strike(self.installation.process(program))
                self.struck[program] = time.monotonic()
                counter[disaster] += 1
                strike_at = time.monotonic() + self.chosen.uniform(_MIN_PAUSE, _MAX_PAUSE)
            time.sleep(0.2)

    def _old_enough(self) -> list[str]:
        """Return the disasters of programs that have run for a while since their last kill.

        The supervisor stops the application when a program dies early four times in a row.
        """
        grown = time.monotonic() - _YOUNG_SECONDS
        return [
            name
            for name, (program, _) in sorted(DISASTERS.items())
            if self.struck.get(program, grown - 1) < grown
        ]

    @staticmethod
    def _ask(ended: Callable[[], Any]) -> bool:
        """Whether the work has ended; False while the killed server does not respond."""
        with contextlib.suppress(requests.RequestException, KeyError):
            return bool(ended())
        return False

    def insist(self, ask: Callable[[], requests.Response]) -> dict[str, Any]:
        def attempt() -> dict[str, Any] | None:
            with contextlib.suppress(requests.RequestException):
                answer = ask()
                return answer.json() if answer.ok else None
            return None

        return wait_until(attempt, "a request does not get through")


def run(options: Options) -> Findings:
    """Kill processes during imports, then during re-indexing; then check database and vectors."""
    with (
        tempfile.TemporaryDirectory(prefix="lk-bench-") as folder,
        place(LOOKALIKE_IMPORT_ROOTS=folder, LOOKALIKE_INGEST_BATCH="8") as installation,
    ):
        files = make_files(Path(folder) / "pictures", FILES, seed=73)
        client = Client(installation.url, installation.key("write"))
        struck = Struck(installation, client)
        slugs = []
        while _killed(struck, "import") < options.kills:
            slugs.append(_import(struck, files.parent, options.kills))
        while _killed(struck, "re-index") < options.kills:
            _reindex(struck, slugs[0], options.kills)
        installation.wait_ready()
        audit = installation.manage("audit", "--deep", check=False)
        lost, twice = _books(installation, client, slugs)
    return [
        f"{options.kills} kills (seed {SEED}) at random moments of imports of {FILES} files, and "
        f"as many while an index is built over one of the {len(slugs)} datasets; "
        f"{_MIN_PAUSE:.0f} to {_MAX_PAUSE:.0f} s between two, so that many strike during the "
        "recovery from the one before.",
        _table(struck),
        f"Lost: **{lost}**, there twice: **{twice}** (images of {len(slugs)} jobs against the "
        "files, and vectors of each index against the images). `manage.py audit --deep` ends with "
        f"exit code **{audit.returncode}**: {audit.stdout.splitlines()[-1]}",
    ]


def _killed(struck: Struck, phase: str) -> int:
    return struck.kills.get(phase, Counter()).total()


def _import(struck: Struck, folder: Path, most: int) -> str:
    slug = struck.insist(
        lambda: struck.client.post("/datasets/", json={"name": "Struck", "visibility": "private"})
    )["slug"]
    job = struck.insist(
        lambda: struck.client.post(
            f"/datasets/{slug}/imports/", json={"kind": "folder", "location": str(folder)}
        )
    )["id"]
    struck.until("import", most, lambda: struck.client.job(job)["state"].startswith("finished"))
    return str(slug)


def _reindex(struck: Struck, slug: str, most: int) -> None:
    pipeline = PIPELINES[_killed(struck, "re-index") % len(PIPELINES)]
    index = struck.insist(
        lambda: struck.client.post(f"/datasets/{slug}/indexes/", json={"pipeline": pipeline})
    )
    address = f"/indexes/{index['id']}/"
    struck.until("re-index", most, lambda: struck.client.get(address).json()["state"] != "building")
    if _killed(struck, "re-index") < most:
        struck.insist(lambda: struck.client.post(f"{address}retire/"))


def _books(installation: Installation, client: Client, slugs: list[str]) -> tuple[int, int]:
    lost = twice = 0
    store = VectorStore(f"unix:{installation.data}/run/milvus.sock")
    for slug in slugs:
        ids = _ready(client, slug)
        lost += max(0, FILES - len(ids))
        twice += max(0, len(ids) - FILES)
        for index in client.get(f"/datasets/{slug}/indexes/").json()["results"]:
            if index["state"] in ("active", "ready"):
                collection = collection_name(index["id"], index["fingerprint"])
                stored = Counter(store.ids(collection))
                lost += len(set(ids) - set(stored))
                twice += stored.total() - len(stored) + len(set(stored) - set(ids))
    store.close()
    return lost, twice


def _ready(client: Client, slug: str) -> list[int]:
    page = client.get(f"/datasets/{slug}/images/", params={"state": "ready", "page_size": "200"})
    ids: list[int] = []
    while True:
        body = page.json()
        ids += [image["id"] for image in body["results"]]
        if not body["next"]:
            return ids
        page = client.session.get(body["next"], timeout=60)


def _table(struck: Struck) -> Table:
    return Table(
        ["killed", *struck.kills],
        [
            [disaster, *(str(counter[disaster]) for counter in struck.kills.values())]
            for disaster in DISASTERS
        ],
    )
