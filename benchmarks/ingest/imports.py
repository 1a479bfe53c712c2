"""Benchmark of a large import from a server folder, beside the library alone on the same files."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import sample_photos
from benchmarks.installation.memory import measure
from benchmarks.installation.processes import cpu_seconds, place, processes, rest
from benchmarks.options import Options
from benchmarks.peer import Peer
from benchmarks.report import Findings, Table, aim
from embeddings.recipes import DEFAULT_PIPELINE
from harness.installation import Client, Installation, clean_environment

AIM_SHARE, AIM_STATEMENTS = 0.5, 0.5
# Different images; the others are copies of these whose files have another comment, so other bytes.
_DIFFERENT = 1_000
_COUNTED = 512  # images over which SQL statements are counted
_SAMPLE_SECONDS = 2.0
_PATIENCE_SECONDS = 3600.0


@dataclass(frozen=True)
class Imported:
    seconds: float
    cpu: Counter[str]
    early: dict[str, float]  # PSS in MiB by process, when a twentieth was done
    late: dict[str, float]  # at the end


def run(options: Options) -> Findings:
    """The library first, then the import, then the library again."""
    with tempfile.TemporaryDirectory(prefix="lk-bench-") as folder:
        root = Path(folder)
        files = make_files(root / "pictures", options.files)
        with (
            place(LOOKALIKE_IMPORT_ROOTS=folder) as installation,
            Peer(
                "benchmarks.library.pipeline_contestant",
                DEFAULT_PIPELINE,
                "auto",
                environment=clean_environment(),
            ) as peer,
        ):
            client = Client(installation.url, installation.key("write"))
            _import(installation, client, make_files(root / "warm", 128, seed=71).parent)
            statements = _statements(
                installation, make_files(root / "few", _COUNTED, seed=72).parent
            )
            rest(installation)
            before = _library(peer, root, files)
            imported = _import(installation, client, files.parent)
            rest(installation)
            library = (before + _library(peer, root, files)) / 2
    return _findings(options, imported, library, statements)


def make_files(folder: Path, number: int, seed: int = 70) -> Path:
    """Make `number` JPEGs in `folder`; return the path of the first."""
    originals = sample_photos.make(folder, min(number, _DIFFERENT), 640, seed)
    contents = [path.read_bytes() for path in originals]
    for place_in_row in range(len(originals), number):
        comment = f"{seed} {place_in_row}".encode()
        segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        jpeg = contents[place_in_row % len(originals)]
        path = folder / f"{seed}-{place_in_row:05}.jpg"
        path.write_bytes(jpeg[:2] + segment + jpeg[2:])
    return originals[0]


def _library(peer: Peer, root: Path, first: Path) -> float:
    """Images a second of the library alone, from files to vectors, over at most 2,000 files."""
    paths = sorted(first.parent.glob("*.jpg"))[:2000]
    listed = root / "listed.txt"
    listed.write_text("\n".join(map(str, paths)))
    answer = peer.ask(json.dumps({"what": "all", "files": str(listed)}))
    return len(paths) / float(answer["seconds"])


def _import(installation: Installation, client: Client, folder: Path) -> Imported:
    slug = client.dataset("Benchmark")
    before, started = cpu_seconds(installation), time.perf_counter()
    answer = client.post(
        f"/datasets/{slug}/imports/", json={"kind": "folder", "location": str(folder)}
    )
    if answer.status_code != 201:
        raise RuntimeError(f"the import was answered with {answer.status_code}: {answer.text}")
    key = answer.json()["id"]
    early: dict[str, float] = {}
    number = len(list(folder.glob("*.jpg")))
    while True:
        job: dict[str, Any] = client.job(key)
        done = job["total"] - job["waiting"]
        if not early and done >= number / 20:
            early = _memory(installation)
        if job["state"].startswith("finished"):
            break
        if time.perf_counter() - started > _PATIENCE_SECONDS:
            raise RuntimeError(f"only {done} of {number} files have an outcome")
        time.sleep(_SAMPLE_SECONDS if number > 1000 else 0.2)
    seconds = time.perf_counter() - started
    if job["ready"] != number:
        raise RuntimeError(f"{job['ready']} of {number} pictures became ready")
    return Imported(seconds, cpu_seconds(installation) - before, early, _memory(installation))


def _memory(installation: Installation) -> dict[str, float]:
    return {name: pss for name, (_, pss) in measure(installation).items()}


def _statements(installation: Installation, folder: Path) -> float:
    """SQL statements per image, counted in a process that replaces the paused ingest workers."""
    workers = [
        process
        for name, process in processes(installation).items()
        if name.startswith("ingest worker")
    ]
    for worker in workers:
        worker.suspend()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.ingest.sql_statements", str(folder)],
            env=installation.environment,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    finally:
        for worker in workers:
            worker.resume()
    return float(json.loads(done.stdout.splitlines()[-1])["statements"]) / _COUNTED


def _findings(options: Options, imported: Imported, library: float, statements: float) -> Findings:
    rate = options.files / imported.seconds
    share = rate / library
    spent = ", ".join(
        f"{name} {1000 * seconds / options.files:.1f}"
        for name, seconds in imported.cpu.most_common()
        if seconds
    )
    return [
        f"{options.files:,} JPEGs of 640 px in a folder of the server ({_DIFFERENT:,} different "
        "pictures; the others are those with another comment in the file, so other bytes), "
        "imported by one request until the job is finished: ledger, originals, thumbnails, rows "
        "and vectors are in it. The library embeds 2,000 of the same files before and after, from "
        "files to vectors in memory.",
        Table(
            ["", "images/s"],
            [
                ["import, end to end", f"{rate:.1f}"],
                ["the library alone", f"{library:.1f}"],
            ],
        ),
        f"The import runs at **{100 * share:.0f} %** of the library's speed "
        f"{aim(share >= AIM_SHARE, f'at least {100 * AIM_SHARE:.0f} %')}. Processor time in ms a "
        f"picture, by program: {spent}.",
        f"SQL statements an image, counted over {_COUNTED} images from the listing of their names "
        f"to `ready`: **{statements:.2f}** "
        f"{aim(statements <= AIM_STATEMENTS, f'at most {AIM_STATEMENTS}')}.",
        f"Memory (PSS, MiB) when {options.files // 20:,} were done, and at the end:",
        _memory_table(imported),
    ]


def _memory_table(imported: Imported) -> Table:
    names: Sequence[str] = [name for name in imported.late if name in imported.early]
    return Table(
        ["process", "early", "at the end", "ratio"],
        [
            [
                name,
                f"{imported.early[name]:.0f}",
                f"{imported.late[name]:.0f}",
                f"{imported.late[name] / imported.early[name]:.2f}",
            ]
            for name in names
        ],
    )
