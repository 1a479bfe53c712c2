"""Benchmark of ingestion: images a second until searchable, beside a plain timm loop."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import sample_photos
from benchmarks.installation.processes import cpu_seconds, place, rest
from benchmarks.options import Options
from benchmarks.peer import Peer
from benchmarks.report import Findings, Table
from harness.installation import Client, Installation, clean_environment

FILES_A_REQUEST = 50
# Images; enough batches that every ingest process has loaded its model.
_WARM_UP = 128
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 1800.0


@dataclass(frozen=True)
class Imported:
    """Seconds until the last upload is accepted, and until all are searchable; CPU seconds."""

    uploaded: float
    searchable: float
    cpu: Counter[str]


@dataclass(frozen=True)
class Looped:
    seconds: float
    cpu: float


def run(options: Options) -> Findings:
    """Run import and loop alternately, each round with new images."""
    rounds: list[tuple[Imported, Looped]] = []
    with tempfile.TemporaryDirectory(prefix="lk-bench-") as folder, place() as installation:
        client = Client(installation.url, installation.key("write"))
        first = sample_photos.make(Path(folder), _WARM_UP, 640, seed=100)
        rest(installation)
        cold = _import(installation, client, first)
        with Peer("benchmarks.library.timm_loop", environment=clean_environment()) as peer:
            for number in range(1, options.rounds + 1):
                files = sample_photos.make(Path(folder), options.pictures, 640, seed=100 + number)
                rest(installation)
                if number % 2:
                    imported = _import(installation, client, files)
                    rest(installation)
                    rounds.append((imported, _loop(peer, files)))
                else:
                    looped = _loop(peer, files)
                    rounds.append((_import(installation, client, files), looped))
            threads = peer.facts["threads"]
    return [
        *_findings(options, rounds, threads),
        f"The first {_WARM_UP} pictures after the start took {cold.searchable:.1f} s and are in no "
        "figure above: an ingest process loads its model with its first picture.",
    ]


def _import(installation: Installation, client: Client, files: Sequence[Path]) -> Imported:
    slug = client.dataset("Benchmark")
    before, started = cpu_seconds(installation), time.perf_counter()
    for first in range(0, len(files), FILES_A_REQUEST):
        with ExitStack() as opened:
            part = [
                ("file", (path.name, opened.enter_context(path.open("rb")), "image/jpeg"))
                for path in files[first : first + FILES_A_REQUEST]
            ]
            answer = client.post(f"/datasets/{slug}/images/", files=part)
        if answer.status_code != 202:
            raise RuntimeError(f"an upload was answered with {answer.status_code}: {answer.text}")
    uploaded = time.perf_counter() - started
    while (ready := client.get(f"/datasets/{slug}/").json()["counts"]["ready"]) < len(files):
        if time.perf_counter() - started > _PATIENCE_SECONDS:
            raise RuntimeError(f"only {ready} of {len(files)} pictures became ready")
        time.sleep(_POLL_SECONDS)
    searchable = time.perf_counter() - started
    return Imported(uploaded, searchable, cpu_seconds(installation) - before)


def _loop(peer: Peer, files: Sequence[Path]) -> Looped:
    listed = files[0].with_suffix(".txt")
    listed.write_text("\n".join(map(str, files)))
    return Looped(**peer.ask(str(listed)))


def _findings(
    options: Options, rounds: Sequence[tuple[Imported, Looped]], threads: int
) -> Findings:
    count = options.pictures

    def row(label: str, values: Sequence[float], digits: int = 1) -> list[str]:
        cells = [f"{value:.{digits}f}" for value in values]
        return [label, *cells]

    imported = [one for one, _ in rounds]
    looped = [other for _, other in rounds]
    ratios = [other.seconds / one.searchable for one, other in rounds]
    table = Table(
        ["", *(f"round {number}" for number in range(1, len(rounds) + 1))],
        [
            row("import, images/s until searchable", [count / x.searchable for x in imported]),
            row("plain timm loop, images/s", [count / x.seconds for x in looped]),
            row("import : loop", ratios, 2),
            row("import, seconds until all is uploaded", [x.uploaded for x in imported]),
            row("import, seconds until all can be found", [x.searchable for x in imported]),
            row(
                "import, processor ms a picture",
                [1000 * x.cpu.total() / count for x in imported],
            ),
            row("plain timm loop, processor ms a picture", [1000 * x.cpu / count for x in looped]),
        ],
    )  # fmt: skip
    used = Counter[str]()
    for one in imported:
        used.update(one.cpu)
    shares = ", ".join(
        f"{name} {1000 * seconds / count / len(rounds):.1f}"
        for name, seconds in used.most_common()
        if seconds
    )
    overall = sum(x.seconds for x in looped) / sum(x.searchable for x in imported)
    return [
        f"{count} different JPEGs of 640 px a round, uploaded over HTTP in requests of "
        f"{FILES_A_REQUEST}, until `counts.ready` says all; thumbnails, database and vectors are "
        "in it. The plain loop opens, transforms and embeds the same files one by one "
        f"(`Image.open`, `timm.data.create_transform`, batch 1, the same weights, {threads} torch "
        "threads) and keeps the vectors in memory. Each round has new pictures; who goes first "
        "changes.",
        table,
        f"Over all rounds the import runs at **{overall:.2f} times** the speed of the plain loop "
        "(aim: at least 1).",
        f"Processor time of the import in ms a picture, by program: {shares}.",
    ]
