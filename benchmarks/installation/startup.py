"""Benchmark of the startup time, from `manage.py serve` until a search returns matches."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import requests

from benchmarks import sample_photos
from benchmarks.options import Options
from benchmarks.report import Findings, Table
from harness.installation import Installation

_POLL_SECONDS = 0.05
_PATIENCE_SECONDS = 600.0


class _Unwaited(Installation):
    """An installation that starts without waiting: the wait is measured."""

    def wait_ready(self) -> None:
        return


def run(options: Options) -> Findings:
    """Start on a new data folder, stop, and start again on the same."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="lk-bench-") as folder:
        query = sample_photos.make(Path(folder), 1, 500, seed=401)[0].read_bytes()
        installation = _Unwaited(LOOKALIKE_DEMO="1")
        try:
            for label in ("a new data folder", "the same folder, second start"):
                rows.append([label, *(f"{value:.1f}" for value in _start(installation, query))])
                installation.wait_demo()
                installation.stop()
        finally:
            installation.remove()
    return [
        "From `manage.py serve`, with the demo gallery, until /readyz answers 200, until a search "
        "is answered with at least one picture, and until the whole gallery can be found. The "
        "files of Python and its packages are in the page cache, and nothing is installed "
        "meanwhile: the first `make run` of a machine also downloads.",
        Table(["seconds on", "ready", "first search answered", "whole gallery"], rows),
    ]


def _start(installation: Installation, query: bytes) -> tuple[float, float, float]:
    """Start; return the seconds until ready, until the first match, until all images are there."""
    ready = matched = 0.0
    started = time.perf_counter()
    installation.start()
    while time.perf_counter() - started < _PATIENCE_SECONDS:
        if installation.serve.poll() is not None:
            raise RuntimeError(f"serve has ended:\n{installation.output.read_text()}")
        body = installation.ready()
        if not ready and body is not None:
            ready = time.perf_counter() - started
        if not matched and _finds(installation, query):
            matched = time.perf_counter() - started
        if (
            ready
            and matched
            and body is not None
            and body["demo"]["ready"] == body["demo"]["total"]
        ):
            return ready, matched, time.perf_counter() - started
        time.sleep(_POLL_SECONDS)
    raise RuntimeError(f"no search was answered within {_PATIENCE_SECONDS:.0f} s")


def _finds(installation: Installation, query: bytes) -> bool:
    """Whether a search without an API key finds a match."""
    try:
        answer = requests.post(
            f"{installation.url}/api/v1/search/", files={"image": ("query.jpg", query)}, timeout=60
        )
    except requests.RequestException:
        return False
    return answer.status_code == 200 and bool(answer.json()["results"])
