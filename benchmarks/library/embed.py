"""Benchmark of embedding: images a second of the library, timm and Towhee, alternately."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import sample_photos
from benchmarks.library import timm_loader
from benchmarks.library.towhee_environment import VERSION, towhee_python
from benchmarks.options import Options
from benchmarks.peer import Peer
from benchmarks.report import Findings, NotHere, Table, aim
from embeddings import recipes
from harness.installation import clean_environment

AIM_RATIO, AIM_SHARE, AIM_ONE, AIM_FLAT = 6.0, 0.9, 1.3, 1.05
_SIDE, _SEED = 640, 500
# The default pipelines, where they exist; the aims apply to the first.
_STANDARD = ("image-embedding-efficientnet-lite0", "image-embedding-efficientnet-lite0:exact")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass
class Contestant:
    """A program that embeds, and its seconds for all files, round by round."""

    label: str
    peer: Peer
    ours: bool = False
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)  # CPU seconds, of the library only
    forward: list[float] = field(default_factory=list)

    def ask(self, what: str, files: Path, number: int = 0) -> dict[str, Any]:
        return self.peer.ask(json.dumps({"what": what, "files": str(files), "number": number}))

    def embed(self, files: Path) -> None:
        """Embed all files; the library also measures decoding and the model alone."""
        took = self.ask("all", files) if self.ours else self.peer.ask(str(files))
        self.seconds.append(took["seconds"])
        self.cpu.append(took["cpu"])
        if self.ours:
            parts = self.ask("parts", files)
            self.decode.append(parts["decode"])
            self.forward.append(parts["forward"])


def run(options: Options) -> Findings:
    """Each contestant embeds the same files in each round; the order rotates."""
    with tempfile.TemporaryDirectory(prefix="lk-bench-") as folder, ExitStack() as stack:
        paths = files(options, Path(folder))
        listed = Path(folder) / "files.txt"
        listed.write_text("\n".join(map(str, paths)))
        contestants, left_out = _contestants(options, stack)
        for number in range(options.rounds):
            turn = number % len(contestants)
            for contestant in contestants[turn:] + contestants[:turn]:
                contestant.embed(listed)
        ours = [one for one in contestants if one.ours]
        ones = [one.ask("one", listed) for one in ours]
        memory = ours[0].ask("many", listed, options.many)
    return [
        _how(options, len(paths)),
        *left_out,
        *_speed(contestants, len(paths)),
        *_one_picture(ours, ones),
        *_memory(ours[0], memory, len(paths)),
    ]


def files(options: Options, folder: Path) -> list[Path]:
    """Return the list of files to embed: images made in `folder`, or those of `options.folder`."""
    if options.folder is None:
        return sample_photos.make(folder, options.pictures, _SIDE, seed=_SEED)
    paths = sorted(p for p in options.folder.rglob("*") if p.suffix.lower() in _SUFFIXES)
    if not paths:
        raise NotHere(f"there is no picture in {options.folder}.")
    return [path.resolve() for path in paths[: options.pictures]]


def _contestants(options: Options, stack: ExitStack) -> tuple[list[Contestant], list[str]]:
    """Return the contestants available here, warmed up, and a sentence for each that is not."""
    environment, left_out = clean_environment(), []

    def start(module: str, *arguments: str, **settings: str) -> Peer:
        peer = Peer(module, *arguments, environment=environment, **settings)
        return stack.enter_context(peer)

    contestants = [
        Contestant("timm loop, batch 1", start("benchmarks.library.timm_loop")),
        Contestant(
            f"timm, DataLoader, {timm_loader.WORKERS} workers, batch {timm_loader.BATCH}",
            start("benchmarks.library.timm_loader"),
        ),
    ]
    try:
        towhee = start("benchmarks.library.towhee_contestant", python=towhee_python())
        contestants.append(Contestant(f"Towhee {VERSION}, the same callables", towhee))
    except NotHere as reason:
        left_out.append(str(reason))
    names = options.pipelines or tuple(name for name in _STANDARD if name in recipes.names())
    for name in names:
        for runtime in options.runtimes or ("auto",):
            peer = start("benchmarks.library.pipeline_contestant", name, runtime)
            if "missing" in peer.facts:
                left_out.append(f"{name} with {runtime} is left out: {peer.facts['missing']}")
                continue
            label = f"{name}, {peer.facts['runtime']} {peer.facts['precision']}"
            contestants.append(Contestant(label, peer, ours=True))
    if not any(one.ours for one in contestants):
        raise NotHere(" ".join(["no pipeline of the library is left.", *left_out]))
    return contestants, left_out


def _how(options: Options, count: int) -> str:
    embedded = (
        f"{count} different JPEGs of {_SIDE} px"
        if options.folder is None
        else f"{count} pictures of the folder that was given"
    )
    return (
        f"{embedded}, EfficientNet-Lite0 with the same weights for all, {options.rounds} rounds in "
        "which each contestant, a warm process of its own with the settings that it comes with, "
        "embeds all files while the others wait; who goes first changes. The limit is what the "
        "processors could do at best: the processor seconds that decoding alone, in one thread, "
        "and the model alone take on the same files in the same rounds, added up and spread over "
        "all cores without any loss."
    )


def _speed(contestants: Sequence[Contestant], count: int) -> Findings:
    cores = os.cpu_count() or 1

    def rate(one: Contestant) -> float:
        return count * len(one.seconds) / sum(one.seconds)

    def limit(one: Contestant) -> float:
        return cores * count * len(one.seconds) / sum(one.decode + one.forward)

    def each(one: Contestant, seconds: Sequence[float]) -> str:
        return f"{1000 * sum(seconds) / count / len(one.seconds):.1f}" if seconds else "–"

    better = max((one for one in contestants if not one.ours), key=rate)
    table = Table(
        [
            "", "images/s", "slowest", "fastest", ": better peer", "processor ms", "decode",
            "forward", "limit, images/s", "share",
        ],
        [
            [
                one.label,
                f"{rate(one):.1f}",
                f"{count / max(one.seconds):.1f}",
                f"{count / min(one.seconds):.1f}",
                f"{rate(one) / rate(better):.2f}",
                each(one, one.cpu),
                each(one, one.decode),
                each(one, one.forward),
                f"{limit(one):.1f}" if one.ours else "–",
                f"{100 * rate(one) / limit(one):.0f} %" if one.ours else "–",
            ]
            for one in contestants
        ],
    )  # fmt: skip
    first = next(one for one in contestants if one.ours)
    ratio, share = rate(first) / rate(better), rate(first) / limit(first)
    return [
        table,
        f"The first of ours runs at **{ratio:.2f} times** the better peer ({better.label}) "
        f"{aim(ratio >= AIM_RATIO, f'at least {AIM_RATIO:.0f}')} and at **{100 * share:.0f} %** "
        f"of its limit {aim(share >= AIM_SHARE, f'at least {100 * AIM_SHARE:.0f} %')}. The last "
        "columns are processor ms a picture, of all and of its parts alone; slowest and fastest "
        "are rounds.",
    ]


def _one_picture(ours: Sequence[Contestant], ones: Sequence[dict[str, float]]) -> Findings:
    ratios = [one["call"] / (one["decode"] + one["forward"]) for one in ones]
    return [
        Table(
            ["one picture, warm, p50 in ms", "call", "decode", "forward", "call : sum"],
            [
                [
                    contestant.label,
                    *(f"{one[name]:.1f}" for name in ("call", "decode", "forward")),
                    f"{ratio:.2f}",
                ]
                for contestant, one, ratio in zip(ours, ones, ratios, strict=True)
            ],
        ),
        f"`pipeline(path)` takes **{ratios[0]:.2f} times** what decoding and the model take "
        f"{aim(ratios[0] <= AIM_ONE, f'{AIM_ONE} at most')}.",
    ]


def _memory(contestant: Contestant, memory: dict[str, float], count: int) -> Findings:
    growth = memory["end"] / memory["tenth"]
    return [
        f"Memory of {contestant.label} over {memory['count']:,.0f} pictures (the {count} files "
        f"again and again): {memory['before']:.0f} MiB resident before, {memory['tenth']:.0f} at "
        f"a tenth, {memory['end']:.0f} at the end, **{growth:.2f} times** that at a tenth "
        f"{aim(growth <= AIM_FLAT, f'{AIM_FLAT} at most')}.",
    ]
