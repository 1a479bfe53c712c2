"""Write or read one bundle, or one file of a peer: `python -m benchmarks.library.bundle_task …`.

Each task is a process, so that its peak memory can be measured. Prints the measurements as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from embeddings import BundleWriter, load_bundle
from embeddings.recipes import DEFAULT_PIPELINE

_SEED, _DIMENSION, _BLOCK = 700, 1280, 1000


def blocks(count: int) -> Iterator[NDArray[np.float32]]:
    """Unit vectors, float32 (at most 1,000, 1280) at a time, from a fixed seed."""
    random = np.random.default_rng(_SEED)
    for start in range(0, count, _BLOCK):
        block = random.standard_normal((min(_BLOCK, count - start), _DIMENSION), np.float32)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
        yield block


def write_bundle(folder: Path, format: str, count: int) -> float:
    """Seconds that a writer takes, without the time to generate vectors."""
    started, making, at = time.perf_counter(), 0.0, 0
    with BundleWriter(folder / "b", DEFAULT_PIPELINE, format=format) as writer:
        before = time.perf_counter()
        for block in blocks(count):
            names = [f"picture-{number:08}.jpg" for number in range(at, at + len(block))]
            metadata = [{"title": name, "number": at + row} for row, name in enumerate(names)]
            at += len(block)
            making += time.perf_counter() - before
            writer.add(names, block, metadata)
            before = time.perf_counter()
    return time.perf_counter() - started - making


def read_bundle(folder: Path, verify: bool) -> float:
    """Seconds until all ids and metadata are loaded and every number has been read once."""
    started = time.perf_counter()
    bundle = load_bundle(folder / "b", verify=verify)
    _ = bundle.ids, bundle.metadata, float(bundle.vectors.sum())
    return time.perf_counter() - started


def write_peer(folder: Path, peer: str, count: int) -> float:
    """Seconds that a peer takes to write vectors, with ids where its format has them."""
    vectors = np.concatenate(list(blocks(count)))
    ids = [f"picture-{number:08}.jpg" for number in range(count)]
    path = folder / f"peer.{peer}"
    started = time.perf_counter()
    if peer == "numpy":
        with path.open("wb") as file:
            np.save(file, vectors)
    elif peer == "pyarrow":
        numbers = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), _DIMENSION)
        pyarrow.parquet.write_table(pa.table({"id": ids, "vector": numbers}), path)
    else:
        pandas.DataFrame({"id": ids, "vector": list(vectors)}).to_parquet(path)
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)  # as bundles are
    os.close(handle)
    return time.perf_counter() - started


def read_peer(folder: Path, peer: str) -> float:
    """Seconds until every number has been read once."""
    path = folder / f"peer.{peer}"
    started = time.perf_counter()
    if peer == "numpy":
        vectors = np.load(path, mmap_mode="r")
    elif peer == "pyarrow":
        column = pyarrow.parquet.read_table(path)["vector"].combine_chunks()
        vectors = column.flatten().to_numpy().reshape(-1, _DIMENSION)
    else:
        vectors = np.stack(pandas.read_parquet(path)["vector"])
    _ = float(vectors.sum())
    return time.perf_counter() - started


def _peak() -> float:
    """Peak memory of this process in MiB; not from `getrusage`, which includes the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main(what: str, name: str, folder: str, count: str) -> None:
    place, rows = Path(folder), int(count)
    tasks: dict[str, Callable[[], float]] = {
        "nothing": lambda: 0.0,
        "write": lambda: write_bundle(place, name, rows),
        "verify": lambda: read_bundle(place, verify=True),
        "read": lambda: read_bundle(place, verify=False),
        "write-peer": lambda: write_peer(place, name, rows),
        "read-peer": lambda: read_peer(place, name),
    }
    print(json.dumps({"seconds": tasks[what](), "mebibytes": _peak()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
