"""Benchmark of search latency by number of vectors, on Milvus Lite and on a Milvus server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from benchmarks.options import Options
from benchmarks.report import Findings, Table

SEARCHES = 60
TOP_K = 20
LITE = (1_000, 10_000, 30_000, 100_000)
SERVER = (10_000, 50_000, 100_000, 200_000)
_PATIENCE_SECONDS = 3600

Timed = dict[int, dict[str, float]]  # by number of vectors: p50 and p95, milliseconds


def run(options: Options) -> Findings:
    """Fill, search, fill further; each store in its own process."""
    timings = {"Milvus Lite": _ask("lite", [n for n in LITE if n <= options.scale])}
    note = ""
    if find_spec("milvus") is None or shutil.which("unshare") is None:
        note = (
            "The Milvus server was not measured: the package `milvus` (2.3.5, a real server in a "
            "wheel) is not installed, or there is no `unshare` to keep it off the network."
        )
    else:
        timings["Milvus server 2.3.5, HNSW"] = _ask(
            "server", [n for n in SERVER if n <= 2 * options.scale]
        )
    if options.markdown is not None:
        _plot(timings, options.markdown.parent / "images" / "scale.svg")
    return [
        f"{SEARCHES} searches by the application's own vector store, top_k {TOP_K}, random unit "
        "vectors of 1,280 dimensions; beside each number of vectors, the same by one numpy product "
        "over all of them in memory, which is what no index has to beat to be of use. On the "
        "server, vectors are indexed by HNSW as the application does it; Milvus Lite is searched "
        "exactly, behind the application's launcher.",
        _table(timings),
        *([note] if note else []),
    ]


def _ask(store: str, sizes: list[int]) -> Timed:
    with tempfile.TemporaryDirectory(prefix="lk-scale-") as folder:
        command = [
            sys.executable, "-m", "benchmarks.search.scale_store", store, folder,
            *(str(size) for size in sizes),
        ]  # fmt: skip
        if store == "server":  # it listens on every interface: run it in a network namespace
            command = ["unshare", "-rn", *command]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, timeout=_PATIENCE_SECONDS
        )
    return {int(size): timed for size, timed in json.loads(done.stdout.splitlines()[-1]).items()}


def _table(timings: dict[str, Timed]) -> Table:
    rows = [
        [
            f"{name}, {size:,}",
            *(f"{timed[figure]:.1f}" for figure in ("p50", "p95", "numpy")),
            f"{timed['p50'] / timed['numpy']:.2f}",
            f"{timed['rows_a_second']:,.0f}",
        ]
        for name, by_size in timings.items()
        for size, timed in by_size.items()
    ]
    headings = [
        "vectors",
        "p50 ms",
        "p95 ms",
        "numpy p50 ms",
        "p50 : numpy",
        "rows stored a second",
    ]
    return Table(headings, rows)


def _plot(timings: dict[str, Timed], path: Path) -> None:
    """Draw milliseconds against the number of vectors."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.6), layout="constrained")
    for name, by_size in timings.items():
        (line,) = axes.plot(
            list(by_size), [timed["p50"] for timed in by_size.values()], marker="o", label=name
        )
        axes.plot(
            list(by_size), [timed["p95"] for timed in by_size.values()], ":", color=line.get_color()
        )
    axes.set(xlabel="vectors", ylabel="milliseconds (dotted: p95)", ylim=(0, None))
    axes.xaxis.set_major_formatter(lambda number, _: f"{number:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
