"""Benchmark of memory: USS and PSS of each process, idle and at their peak under load."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks import sample_photos
from benchmarks.ingest.ingest import FILES_A_REQUEST
from benchmarks.installation.processes import fill, place, processes, rest
from benchmarks.options import Options
from benchmarks.report import Findings, Table
from benchmarks.search.http_client import SearchClient
from harness.installation import Client, Installation

_SEARCHERS = 4
_SAMPLE_SECONDS = 0.5
_MIB = 2**20

Memory = dict[str, tuple[float, float]]  # program: USS, PSS in MiB


def run(options: Options) -> Findings:
    """Measure a filled installation when idle, then during an import and four clients' searches."""
    with tempfile.TemporaryDirectory(prefix="lk-bench-") as folder, place() as installation:
        filled = fill(installation, options.images)
        resting = measure(installation)
        files = sample_photos.make(Path(folder), options.pictures, 640, seed=301)
        queries = sample_photos.make(Path(folder), options.searches, 500, seed=302)
        key = installation.key("write")

        def ask() -> None:
            with SearchClient(installation.url, key, dataset=filled.slug) as client:
                for query in queries:
                    client.search(query)

        def send() -> None:
            client = Client(installation.url, key)
            slug = client.dataset("Benchmark")
            for first in range(0, len(files), FILES_A_REQUEST):
                part = files[first : first + FILES_A_REQUEST]
                job = client.upload(slug, *((path.name, path.read_bytes()) for path in part))
            client.finished(job["job"], 1800)

        highest = _highest(installation, [send] + [ask] * _SEARCHERS)
        rest(installation)
        afterwards = measure(installation)
    return [
        f"MiB by psutil: USS is what a process has to itself, PSS adds its share of what several "
        f"share (the sum of PSS is what all take together). {options.images:,} images are "
        f"stored. Load: {options.pictures} pictures are imported while {_SEARCHERS} clients send "
        f"{options.searches} searches each; the highest of samples every {_SAMPLE_SECONDS} s, "
        "each process at its own moment.",
        _table(resting, highest, afterwards),
    ]


def measure(installation: Installation) -> Memory:
    """Return the memory of each process now; one that ends meanwhile is left out."""
    memory: Memory = {}
    for name, process in processes(installation).items():
        with contextlib.suppress(psutil.Error):
            info = process.memory_full_info()
            memory[name] = (info.uss / _MIB, info.pss / _MIB)
    return memory


def _highest(installation: Installation, work: list[Callable[[], None]]) -> Memory:
    """Call each of `work` in a thread; return the peak memory of each process meanwhile."""
    failures: list[BaseException] = []

    def do(piece: Callable[[], None]) -> None:
        try:
            piece()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=do, args=[piece], daemon=True) for piece in work]
    for thread in threads:
        thread.start()
    highest: Memory = {}
    while any(thread.is_alive() for thread in threads):
        for name, (uss, pss) in measure(installation).items():
            before = highest.get(name, (0.0, 0.0))
            highest[name] = (max(uss, before[0]), max(pss, before[1]))
        time.sleep(_SAMPLE_SECONDS)
    if failures:
        raise failures[0]
    return highest


def _table(resting: Memory, highest: Memory, afterwards: Memory) -> Table:
    columns = (resting, highest, afterwards)
    names = list(dict.fromkeys(name for column in columns for name in column))

    def cells(name: str) -> list[str]:
        return [
            f"{column[name][kind]:.0f}" if name in column else "–"
            for column in columns
            for kind in (0, 1)
        ]

    totals = [f"{sum(usage[kind] for usage in c.values()):.0f}" for c in columns for kind in (0, 1)]
    return Table(
        ["process", "rest USS", "PSS", "load USS", "PSS", "after USS", "PSS"],
        [*([name, *cells(name)] for name in names), ["together", *totals]],
    )
