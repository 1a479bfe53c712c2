"""The command line of the benchmarks: names, options and their defaults."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# The benchmarks, each with the options that it uses.
SETTINGS: dict[str, tuple[str, ...]] = {
    "query": ("images", "searches"),
    "search": ("gallery", "searches"),
    "ingest": ("pictures", "rounds"),
    "memory": ("images", "searches", "pictures"),
    "startup": (),
    "embed": ("pictures", "rounds", "many", "folder", "pipelines", "runtimes"),
    "collection": ("chained", "rounds", "folder"),
    "gpu": (),
    "quality": ("folder", "pipelines", "asked"),
    "duplicates": ("folder", "pipelines"),
    "geometry": ("folder",),
    "sharing": ("vectors",),
    "concepts": ("rounds", "folder"),
    "import": ("files",),
    "pages": ("rows",),
    "scale": ("scale",),
    "kills": ("kills",),
}
NAMES = tuple(SETTINGS)


@dataclass(frozen=True)
class Options:
    """The benchmarks to run, and their sizes."""

    names: tuple[str, ...] = NAMES
    images: int = 10_000  # searched by `query`
    gallery: int = 100_000  # images, searched in a browser
    searches: int = 100
    pictures: int = 480  # images of an import, or for each contestant to embed
    rounds: int = 2  # of an import and its peer, or of all contestants
    chained: int = 2_000  # images that go through a collection
    many: int = 5_000  # images over which memory must stay flat
    vectors: int = 100_000  # of a bundle
    files: int = 20_000  # of a large import
    rows: int = 200_000  # of a gallery and a ledger
    scale: int = 100_000  # most vectors in Milvus Lite; the server has twice as many
    kills: int = 20
    asked: int = 500  # images of the gallery whose edited copies are the queries
    folder: Path | None = None  # of images, instead of the demo's
    pipelines: tuple[str, ...] = ()  # of the library, by name
    runtimes: tuple[str, ...] = ()  # that compute them
    markdown: Path | None = None

    def command(self, name: str) -> str:
        """Return the command that repeats benchmark `name` as it ran here."""
        chosen = [
            f"--{setting}={_written(getattr(self, setting))}"
            for setting in SETTINGS[name]
            if getattr(self, setting) != getattr(Options, setting)
        ]
        return " ".join(["python -m benchmarks", name, *chosen])


def _written(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _listed(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _folder(value: str) -> Path:
    if not Path(value).is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {value!r}")
    return Path(value)


def _at_least(least: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.isdecimal() or int(value) < least:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {least} on, not {value!r}"
            )
        return int(value)

    return parse


def parse(arguments: Sequence[str]) -> Options:
    """Parse the command line; exits with a message when it is wrong."""
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
        ("gallery", 1000, "images in the gallery that is searched in a browser"),
        ("searches", 2, "searches that are timed"),
        ("pictures", 1, "pictures that are imported or embedded in a round"),
        ("rounds", 1, "rounds of an import and its peer, or of all that embed"),
        ("chained", 20, "pictures that go through a collection"),
        ("many", 100, "pictures over which the memory of an embedding program is watched"),
        ("vectors", 1, "vectors of a bundle that is written and read"),
        ("files", 100, "files of a large import"),
        ("rows", 1000, "rows of a gallery and a ledger"),
        ("scale", 1000, "vectors that Milvus Lite searches at most; a server twice as many"),
        ("kills", 1, "processes that are killed while they work"),
        ("asked", 1, "pictures whose edited copies the application is asked for"),
    ):
        parser.add_argument(
            f"--{name}",
            type=_at_least(least),
            default=getattr(standard, name),
            metavar="N",
            help=f"{purpose} (%(default)s)",
        )
    parser.add_argument(
        "--folder",
        type=_folder,
        metavar="FOLDER",
        help="pictures for embed and collection (JPEGs), or with a CSV of labels for the others, "
        "in place of the demo's",
    )
    for name, purpose in (
        ("pipelines", "pipelines of the library, by name"),
        ("runtimes", "runtimes of those pipelines for embed: auto, torch, openvino, onnxruntime"),
    ):
        parser.add_argument(
            f"--{name}", type=_listed, default=(), metavar="NAME,NAME", help=purpose
        )
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="PATH",
        help="also write the sections into this file, or each into NAME.md in this folder",
    )
    read = parser.parse_args(arguments)
    unknown = [name for name in read.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(NAMES)}")
    names = tuple(name for name in NAMES if name in read.names) or NAMES
    return Options(**{**vars(read), "names": names})
