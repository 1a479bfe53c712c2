"""Benchmark of bundles: time and memory to write and read them, beside common file formats."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.options import Options
from benchmarks.report import Findings, NotHere, Table
from embeddings.bundle import FORMATS
from harness.installation import ROOT, clean_environment

_PEERS = ("numpy", "pyarrow", "pandas")
# Disk space per vector of 1280 numbers as text, doubled to be safe.
_BYTES_EACH = 40_000


def run(options: Options) -> Findings:
    """Write each format, read it with and without verification, remove it; then the peers'."""
    count = options.vectors
    with tempfile.TemporaryDirectory(prefix="lk-bench-") as name:
        folder = Path(name)
        if shutil.disk_usage(folder).free < count * _BYTES_EACH:
            raise NotHere(
                f"{count:,} vectors as text need {count * _BYTES_EACH / 1e9:.1f} GB of disk; "
                "--vectors asks for fewer."
            )
        _, empty = _task("nothing", "", folder, count)
        rows = [*_bundles(folder, count), *_peers(folder, count)]
    return [
        f"{count:,} random unit vectors of 1280 float32 (always the same), with ids and two values "
        "of metadata each. Each step is a process of its own, which is timed inside, without the "
        "time that vectors take to be made. Written means on the disk (fsync), for the peers too; "
        "read means that all ids and metadata are there and that every number has been touched. "
        "What is read has just been written, so that the disk's cache may hold it. Peak is the "
        "most memory that the process held, mapped files among it; one that does nothing, with "
        f"all that is imported, holds {empty} MiB. The peers write vectors (numpy) or vectors and "
        "ids, with the settings that they come with, check nothing, and hold all vectors in "
        "memory.",
        Table(
            [
                "", "write, s", "peak, MiB", "read, verified, s", "peak, MiB", "read, s",
                "peak, MiB", "size, MB",
            ],
            rows,
        ),
    ]  # fmt: skip


def _bundles(folder: Path, count: int) -> Iterator[list[str]]:
    for format in FORMATS:
        cells = [
            *_task("write", format, folder, count),
            *_task("verify", format, folder, count),
            *_task("read", format, folder, count),
        ]
        size = sum(path.stat().st_size for path in (folder / "b").iterdir())
        shutil.rmtree(folder / "b")
        yield [f"bundle, {format}", *cells, f"{size / 1e6:.0f}"]


def _peers(folder: Path, count: int) -> Iterator[list[str]]:
    for peer in _PEERS:
        written = _task("write-peer", peer, folder, count)
        read = _task("read-peer", peer, folder, count)
        path = folder / f"peer.{peer}"
        size = path.stat().st_size
        path.unlink()
        yield [peer, *written, "–", "–", *read, f"{size / 1e6:.0f}"]


def _task(what: str, name: str, folder: Path, count: int) -> tuple[str, str]:
    """Return seconds, and peak memory in MiB, as text."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.library.bundle_task",
         what, name, str(folder), str(count)],
        cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    result = json.loads(done.stdout)
    return f"{result['seconds']:.2f}", f"{result['mebibytes']:.0f}"
