"""An installation to measure: its processes by name, their CPU time, waiting until it is idle."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from harness.installation import ROOT, Installation, running

_MARKS = {
    "redis": "valkey-server",
    "milvus": "searchapp.infra.vectors.lite.server",
    "web": "gunicorn",
    "query worker": "query@local",
    "ingest worker": "ingest@local",
    "beat": " beat",
}
_REST_SHARE, _REST_SECONDS, _REST_PATIENCE = 0.1, 1.0, 120.0


@contextmanager
def place(*, demo: bool = False, **environment: str) -> Iterator[Installation]:
    """A running installation with default settings; without the demo gallery by default."""
    with running(LOOKALIKE_DEMO="1" if demo else "0", **environment) as installation:
        yield installation


@dataclass(frozen=True)
class Filled:
    """A filled dataset, and where its vectors are."""

    slug: str
    collection: str
    uri: str


def fill(installation: Installation, images: int) -> Filled:
    """Fill a dataset with `images` rows and random vectors; wait until the installation is idle."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.installation.fill_images", str(images)],
        cwd=ROOT,
        env=installation.environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    rest(installation)
    return Filled(**json.loads(done.stdout.splitlines()[-1]))


def processes(installation: Installation) -> dict[str, psutil.Process]:
    """Return the installation's processes by role; several with one role are numbered."""
    top = psutil.Process(installation.serve.pid)
    by_role = {"supervisor": top}
    for child in top.children():
        command = " ".join(child.cmdline())
        name = next((name for name, mark in _MARKS.items() if mark in command), None)
        if name is None or "supervision.tether" in command:
            continue
        by_role[name] = child
        for number, inner in enumerate(child.children(recursive=True), start=1):
            by_role[f"{name}, process {number}"] = inner
    return by_role


def cpu_seconds(installation: Installation) -> Counter[str]:
    """Return the CPU seconds that each program has used so far, all its processes together."""
    used: Counter[str] = Counter()
    for name, process in processes(installation).items():
        times = process.cpu_times()
        used[name.partition(",")[0]] += times.user + times.system  # type: ignore[assignment]
    return used


def rest(installation: Installation) -> None:
    """Wait until the installation is idle: sealing and compaction of segments have ended."""
    deadline = time.monotonic() + _REST_PATIENCE
    while time.monotonic() < deadline:
        before, started = cpu_seconds(installation).total(), time.monotonic()
        time.sleep(_REST_SECONDS)
        used = cpu_seconds(installation).total() - before
        if used < _REST_SHARE * (time.monotonic() - started):
            return
    raise RuntimeError(f"the installation does not come to rest in {_REST_PATIENCE:.0f} s")
