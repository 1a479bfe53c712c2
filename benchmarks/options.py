"""The command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# The benchmarks, each with the sizes that it heeds.
SIZES: dict[str, tuple[str, ...]] = {
    "query": ("images", "searches"),
    "ingest": ("pictures", "rounds"),
    "memory": ("images", "searches", "pictures"),
    "startup": (),
}
NAMES = tuple(SIZES)


@dataclass(frozen=True)
class Options:
    """What to run and how much of it."""

    names: tuple[str, ...] = NAMES
    images: int = 10_000  # that a search looks through
    searches: int = 100
    pictures: int = 480  # that an import takes in
    rounds: int = 2  # of an import and its peer
    markdown: Path | None = None

    def command(self, name: str) -> str:
        """Return the command that repeats benchmark `name` as it ran here."""
        chosen = [
            f"--{size}={getattr(self, size)}"
            for size in SIZES[name]
            if getattr(self, size) != getattr(Options, size)
        ]
        return " ".join(["python -m benchmarks", name, *chosen])


def _at_least(least: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.isdecimal() or int(value) < least:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {least} on, not {value!r}"
            )
        return int(value)

    return parse


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line; ends the program with a sentence when it is wrong."""
    standard = Options()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure speed and memory beside peers, in the same run.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"{', '.join(NAMES)}; all of them when none is named",
    )
    for name, least, purpose in (
        ("images", 100, "images in the dataset that is searched"),
        ("searches", 2, "searches that are timed"),
        ("pictures", 1, "pictures that are imported in a round"),
        ("rounds", 1, "rounds of the import and its peer"),
    ):
        parser.add_argument(
            f"--{name}",
            type=_at_least(least),
            default=getattr(standard, name),
            metavar="N",
            help=f"{purpose} (%(default)s)",
        )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="also write the sections into this file"
    )
    read = parser.parse_args(arguments)
    unknown = [name for name in read.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(NAMES)}")
    sizes = {size: getattr(read, size) for size in ("images", "searches", "pictures", "rounds")}
    names = tuple(name for name in NAMES if name in read.names) or NAMES
    return Options(names=names, markdown=read.markdown, **sizes)
