"""Benchmark of search in a large gallery: in a browser, concurrent, during imports, with boxes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks import sample_photos as pictures
from benchmarks.installation.processes import place, rest
from benchmarks.options import Options
from benchmarks.peer import Peer
from benchmarks.report import Findings
from benchmarks.search.browser import (
    DESKTOP,
    PHONE,
    Visitor,
    chromium,
    needed_browser,
    visitor,
)
from benchmarks.search.findings import findings
from benchmarks.search.load import (
    AT_ONCE,
    TOP_K,
    Boxes,
    Searches,
    importing,
    in_batch,
)
from benchmarks.search.measurements import Measurements
from benchmarks.search.query import ONE_THREAD
from harness.installation import ROOT, Client, Installation, clean_environment, wait_until

DISTINCT = 400  # different images in the gallery
_WARM_UP = 5
_LOADS = 5  # of each page whose web vitals are measured
_BOXES = 20
_LARGE = 4000  # pixels of the long side of the image for searches with boxes
_IMPORTED = 3000  # files of the import that runs during searches
_BARE = ("decode", "embed", "search")


@dataclass(frozen=True)
class Gallery:
    slug: str
    collection: str
    uri: str
    first: int  # id of the first row
    shown: list[int]  # index of the image that each row shows
    pictures: list[Path]

    def picture_of(self, image: int) -> Path:
        return self.pictures[self.shown[image - self.first]]


def run(options: Options) -> Findings:
    """Fill a gallery; measure a browser, then repeated, concurrent and boxed searches."""
    needed_browser()
    with tempfile.TemporaryDirectory(prefix="lk-bench-") as folder:
        root = Path(folder)
        with place(LOOKALIKE_IMPORT_ROOTS=folder) as installation:
            gallery = _filled(installation, root, options.gallery)
            arguments = (
                gallery.uri, gallery.collection, str(options.gallery), str(TOP_K),
                str(root / "vectors.npy"),
            )  # fmt: skip
            environment = clean_environment(**ONE_THREAD)
            with Peer("benchmarks.search.bare_search", *arguments, environment=environment) as peer:
                measured = _measured(options, installation, gallery, peer, root)
    return findings(options, measured)


def _filled(installation: Installation, root: Path, number: int) -> Gallery:
    paths = pictures.make(root / "gallery", DISTINCT, 640, seed=60)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.installation.gallery",
         str(root / "gallery"), str(number), str(root / "vectors.npy")],
        cwd=ROOT,
        env=installation.environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )  # fmt: skip
    gallery = Gallery(**json.loads(done.stdout.splitlines()[-1]), pictures=paths)
    client = Client(installation.url, installation.key("read"))
    indexes = f"/datasets/{gallery.slug}/indexes/"

    def is_calibrated() -> bool:
        return any(index["calibration"] for index in client.get(indexes).json()["results"])

    wait_until(is_calibrated, "the gallery is not calibrated")
    rest(installation)
    return gallery


def _measured(
    options: Options, installation: Installation, gallery: Gallery, peer: Peer, root: Path
) -> Measurements:
    measured = Measurements()
    queries = pictures.make(root / "asked", _WARM_UP + options.searches, 500, seed=61)
    with chromium() as browser:
        with visitor(browser, installation.url) as someone:
            _uploads(measured, someone, peer, queries)
            _clicks(measured, someone, peer, gallery, options.searches)
            measured.again = [someone.again() for _ in range(options.searches)]
            address = someone.page.url.removeprefix(installation.url)
        _pages(measured, browser, installation.url, address)
    searches = Searches(installation, gallery.slug)
    once = pictures.make(root / "once", 1, 500, seed=62)
    searches.one_by_one(once)
    measured.repeated = searches.one_by_one(once * options.searches)
    measured.boxes = [_boxes(searches, root, place) for place in range(3)]
    _at_once(measured, searches, peer, root, options.searches)
    _beside(measured, searches, installation, root, options.searches)
    return measured


def _uploads(measured: Measurements, someone: Visitor, peer: Peer, queries: Sequence[Path]) -> None:
    someone.begin(queries[0])
    for place_in_row, picture in enumerate(queries[1:], start=1):
        if place_in_row % 2:
            painted, bare = someone.upload(picture), _barely(peer, picture)
        else:
            bare, painted = _barely(peer, picture), someone.upload(picture)
        if place_in_row >= _WARM_UP:
            measured.uploads.append(painted)
            measured.bare_of_uploads.append(bare)


def _clicks(
    measured: Measurements, someone: Visitor, peer: Peer, gallery: Gallery, number: int
) -> None:
    """Click from match to match; start with another image where a page shows no new one."""
    chosen, past = random.Random(5), set[int]()
    for place_in_row in range(_WARM_UP + number):
        there = [image for image in someone.cards() if image not in past]
        if not there:
            someone.upload(chosen.choice(gallery.pictures))
            there = [image for image in someone.cards() if image not in past]
        image = chosen.choice(there)
        past.add(image)
        bare = _barely(peer, gallery.picture_of(image))
        painted = someone.click(image)
        if place_in_row >= _WARM_UP:
            measured.clicks.append(painted)
            measured.bare_of_clicks.append(bare)


def _barely(peer: Peer, picture: Path) -> float:
    sample: dict[str, float] = peer.ask(str(picture))
    return sum(sample[stage] for stage in _BARE)


def _pages(measured: Measurements, browser: Any, url: str, results: str) -> None:
    for size in (DESKTOP, PHONE):
        for name, path in (("start page", "/"), ("results", results)):
            for _ in range(_LOADS):
                with visitor(browser, url, size) as newcomer:
                    seen = newcomer.vitals(path)
                measured.vitals.setdefault((name, f"{size[0]} px"), []).append(seen)


def _boxes(searches: Searches, root: Path, seed: int) -> Boxes:
    """Search with boxes of a photograph as large as a phone's: decoding it is the main cost."""
    [source] = pictures.make(root / f"large-{seed}", 1, _LARGE, seed=63 + seed)
    with Image.open(source) as picture:
        large = picture.convert("RGB")
    large.save(source, quality=90)
    chosen = random.Random(seed)
    sides = [(chosen.uniform(0, 0.5), chosen.uniform(0, 0.5)) for _ in range(1 + _BOXES)]
    return searches.by_boxes(source, [f"{left:.4f},{top:.4f},0.4,0.4" for left, top in sides])


def _at_once(
    measured: Measurements, searches: Searches, peer: Peer, root: Path, number: int
) -> None:
    """Measure concurrent searches, and the library in batches before and after them, so that other
    load on the machine affects both."""
    for place_in_row, (name, fields) in enumerate(
        {"verified": {}, "not verified": {"verify": "false"}}.items()
    ):
        seed = 66 + place_in_row
        many = pictures.make(root / f"many-{seed}", AT_ONCE + 2 * number, 500, seed=seed)
        measured.batches.append(in_batch(peer, many[:number]))
        searches.at_once(many[:AT_ONCE], **fields)
        measured.loads[name] = searches.at_once(many[AT_ONCE:], **fields)
        measured.batches.append(in_batch(peer, many[:number]))


def _beside(
    measured: Measurements, searches: Searches, installation: Installation, root: Path, number: int
) -> None:
    many = pictures.make(root / "alone", 3 * number, 500, seed=68)
    measured.alone = searches.one_by_one(many[:number])
    with importing(installation, root, _IMPORTED):
        measured.beside = searches.one_by_one(many[number : 2 * number])
        measured.loads["beside an import"] = searches.at_once(many[2 * number :])
