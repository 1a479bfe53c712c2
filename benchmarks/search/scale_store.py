"""Search a growing collection: `python -m benchmarks.search.scale_store lite|server FOLDER SIZE…`.

Prints, as JSON, the time of a search at each size. The server listens on every interface, so it
runs in its own network namespace (`unshare -rn`), whose loopback is brought up here.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil

from benchmarks.report import percentile
from benchmarks.search.scale import SEARCHES, TOP_K
from harness.network import raise_loopback
from searchapp.infra.vectors.errors import VectorsError
from searchapp.infra.vectors.store import VectorStore

DIMENSION = 1280
NAME = "scale"
_READY_SECONDS = 120.0
_SETTLE_SECONDS = 600.0
_PORT = 19530


@contextmanager
def _lite(folder: Path) -> Iterator[str]:
    uri = f"unix:{folder / 's'}"
    command = [
        sys.executable, "-m", "searchapp.infra.vectors.lite.server",
        "--data-dir", str(folder / "data"), "--uri", uri,
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=sys.stderr) as server:
        try:
            yield uri
        finally:
            server.terminate()


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    raise_loopback()
    program = str(Path(sys.executable).with_name("milvus-server"))  # of the same environment
    command = [program, "--data", str(folder / "data"), "--proxy-port", str(_PORT)]
    _adopt_orphans()
    with subprocess.Popen(command, stdout=sys.stderr) as server:
        try:
            yield f"http://127.0.0.1:{_PORT}"
        finally:
            server.terminate()
    # The launcher does not wait for the server that it started: reap it here, or its CPU time
    # would count as that of other processes.
    orphans = psutil.Process().children()
    for orphan in orphans:
        orphan.kill()  # its data is discarded anyway
    psutil.wait_procs(orphans)


def _adopt_orphans() -> None:
    """Become the parent of orphaned descendants (`prctl`, Linux)."""
    set_child_subreaper = 36
    ctypes.CDLL(None).prctl(set_child_subreaper, 1)


def _wait(store: VectorStore) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            return store.ping()
        except VectorsError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _unit(number: int, seed: int) -> npt.NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((number, DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _settle(store: VectorStore, queries: npt.NDArray[np.float32]) -> None:
    """Wait until searches get no faster: sealing and indexing have ended."""
    before, deadline = float("inf"), time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < deadline:
        now = min(_times(store, queries[:8]))
        if now > 0.9 * before:
            return
        before = now
        time.sleep(5)


def _times(store: VectorStore, queries: npt.NDArray[np.float32]) -> list[float]:
    durations = []
    for query in queries:
        started = time.perf_counter()
        hits = store.search(NAME, query, TOP_K, timeout=60)
        durations.append(1000 * (time.perf_counter() - started))
        if len(hits) != TOP_K:
            raise RuntimeError(f"{len(hits)} rows came back, not {TOP_K}")
    return durations


def _bare(vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.float32]) -> float:
    durations = []
    for query in queries[:20]:
        started = time.perf_counter()
        scores = vectors @ query
        best = np.argpartition(scores, -TOP_K)[-TOP_K:]
        best[np.argsort(-scores[best])]
        durations.append(1000 * (time.perf_counter() - started))
    return percentile(durations, 50)


def main(kind: str, folder: str, sizes: list[int]) -> None:
    queries = _unit(SEARCHES, seed=2)
    vectors = _unit(max(sizes), seed=1)
    results = {}
    with (_lite if kind == "lite" else _server)(Path(folder)) as uri:
        store = VectorStore(uri, timeout=60)
        _wait(store)
        store.ensure_collection(NAME, DIMENSION)
        stored = 0
        for size in sizes:
            started = time.perf_counter()
            for first in range(stored, size, 1000):
                part = range(first, min(first + 1000, size))
                store.upsert(NAME, [place + 1 for place in part], vectors[part.start : part.stop])
            rate = (size - stored) / (time.perf_counter() - started)
            stored = size
            _settle(store, queries)
            durations = _times(store, queries)
            results[size] = {
                "p50": percentile(durations, 50),
                "p95": percentile(durations, 95),
                "numpy": _bare(vectors[:size], queries),
                "rows_a_second": rate,
            }
            print(size, results[size], file=sys.stderr, flush=True)
        store.close()
    print(json.dumps(results))


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main(sys.argv[1], sys.argv[2], [int(size) for size in sys.argv[3:]])
