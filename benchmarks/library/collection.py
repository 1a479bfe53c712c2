"""Benchmark of DataCollection: its overhead over the bare pipeline, and threads beside Ray."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.library import embed
from benchmarks.options import Options
from benchmarks.peer import Peer
from benchmarks.report import Findings, Table, aim
from embeddings.recipes import DEFAULT_PIPELINE
from harness.installation import clean_environment

AIM_SHARE, AIM_FLAT = 0.95, 1.05
_WAYS = {
    "stream": "`pipeline.stream(paths)`",
    "collection": "`from_glob(…).map(pipeline)`",
    "threads": "the same with `set_parallel()`",
    "operators": "operators by attribute, `set_parallel()`",
    "ray": '`map(pipeline).set_engine("ray")`',
}
_LIGHT_ROWS = 100_000


def run(options: Options) -> Findings:
    """Each way embeds the same images in each round; the order rotates."""
    with tempfile.TemporaryDirectory(prefix="lk-bench-") as directory:
        folder = Path(directory)
        paths = embed.files(replace(options, pictures=options.chained), folder)
        if options.folder is not None:
            for place, path in enumerate(paths):
                (folder / f"{place:06}.jpg").symlink_to(path)
        ways: list[str] = [way for way in _WAYS if way != "ray" or importlib.util.find_spec("ray")]
        with Peer(
            "benchmarks.library.collection_contestant",
            DEFAULT_PIPELINE,
            environment=clean_environment(),
        ) as peer:
            measurements = _Asked(peer, folder, len(paths))
            for number in range(options.rounds):
                turn = number % len(ways)
                for way in ways[turn:] + ways[:turn]:
                    measurements.pictures(way)
            light: dict[str, float] = {
                way: peer.ask(json.dumps({"what": "rows", "way": way, "count": _LIGHT_ROWS}))["ms"]
                for way in ("collection", "threads", "ray")
                if way in ways or way == "collection"
            }
            memory: dict[str, dict[str, float]] = {
                way: measurements.memory(way) for way in ("collection", "ray") if way in ways
            }
    return [
        f"{len(paths)} JPEGs through the default pipeline, {options.rounds} rounds in which each "
        "way, all in one warm process, embeds all of them while the others wait; who goes first "
        "changes. Ray runs on a cluster on this machine that is there already; its processes "
        "start, and load the model, before the first vector.",
        *_speed(measurements, ways),
        *_light(light),
        *_memory(memory, len(paths)),
    ]


class _Asked:
    """The contestant's measurements for one folder, round by round."""

    def __init__(self, peer: Peer, folder: Path, count: int) -> None:
        self._peer = peer
        self._about = {"folder": str(folder), "count": count}
        self.count = count
        self.seconds: dict[str, list[dict[str, float]]] = {}

    def pictures(self, way: str) -> None:
        self.seconds.setdefault(way, []).append(self._ask("pictures", way))

    def memory(self, way: str) -> dict[str, float]:
        return self._ask("memory", way)

    def mean(self, way: str, what: str) -> float:
        values = [one[what] for one in self.seconds[way]]
        return sum(values) / len(values)

    def _ask(self, what: str, way: str) -> dict[str, Any]:
        return self._peer.ask(json.dumps({"what": what, "way": way, **self._about}))


def _speed(measurements: _Asked, ways: Sequence[str]) -> Findings:
    bare = measurements.mean("stream", "all")
    table = Table(
        [
            "",
            "seconds",
            "images/s",
            "share of the stream",
            "first vector, s",
            "behind it, images/s",
        ],
        [
            [
                _WAYS[way],
                f"{measurements.mean(way, 'all'):.1f}",
                f"{measurements.count / measurements.mean(way, 'all'):.1f}",
                f"{100 * bare / measurements.mean(way, 'all'):.0f} %",
                f"{measurements.mean(way, 'first'):.2f}",
                f"{(measurements.count - 1) / measurements.mean(way, 'rest'):.1f}",
            ]
            for way in ways
        ],
    )
    share = bare / measurements.mean("collection", "all")
    sentence = (
        f"A collection with the pipeline as its step runs at **{100 * share:.0f} %** of the bare "
        f"stream {aim(share >= AIM_SHARE, f'at least {100 * AIM_SHARE:.0f} %')}."
    )
    if "ray" not in ways:
        sentence += " Ray is not installed here and is left out."
    return [table, sentence]


def _light(milliseconds: dict[str, float]) -> Findings:
    names = {"collection": "the caller's thread", "threads": "threads", "ray": "Ray"}
    figures = ", ".join(f"{names[way]} {ms:.4f} ms" for way, ms in milliseconds.items())
    return [f"A function that only adds one, {_LIGHT_ROWS:,} rows, for each row: {figures}."]


def _memory(memory: dict[str, dict[str, float]], count: int) -> Findings:
    sentences = []
    for way, sizes in memory.items():
        growth = sizes["end"] / sizes["tenth"]
        sentences.append(
            f"Memory of {_WAYS[way]} over {count:,} pictures, with all processes below it: "
            f"{sizes['tenth']:.0f} MiB (PSS) at a tenth, {sizes['end']:.0f} at the end, "
            f"**{growth:.2f} times** that at a tenth "
            f"{aim(growth <= AIM_FLAT, f'{AIM_FLAT} at most')}."
        )
    return sentences
