"""Benchmark of geometry: copies and edits named correctly, and cost, beside SIFT matching."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import cv2
import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from benchmarks.options import Options
from benchmarks.quality import labels, plain_geometry, vector_variants
from benchmarks.report import Findings, Table, aim
from embeddings.geometry import Edit, Kind, LocalFeatures, judge, match
from embeddings.geometry.local_features import local_features
from embeddings.recipes import DEFAULT_PIPELINE
from harness.edits import EDITS, edited
from harness.installation import ROOT

# As a search does (`searchapp.services.search.rerank`): the first candidates always, the others
# only if none of those is a copy.
FIRST, MAX_CANDIDATES = 12, 48
_TWIN_SCORE = 0.9  # least cosine of one photograph that is in the gallery twice
# SIFT matching takes minutes where the library takes seconds: it is run on every eighth image.
_EVERY = 8
_SHOWN_AT = 320  # pixels, the long side of an image that `page` puts into a page

# The edits that were made, as `Edit`.
_DONE: Mapping[str, frozenset[Edit]] = {
    "crop": frozenset({Edit.CROPPED}),
    "160 px": frozenset({Edit.RESIZED}),
    "JPEG 25": frozenset({Edit.RECOMPRESSED}),
    "mirror": frozenset({Edit.MIRRORED}),
    "text": frozenset({Edit.OVERLAID}),
    "colour": frozenset({Edit.RECOLOURED}),
    "rotate": frozenset({Edit.ROTATED}),
    "grey": frozenset({Edit.RECOLOURED}),
    "border": frozenset({Edit.CONTAINS}),
    "page": frozenset({Edit.CONTAINS}),
    "all": frozenset(
        {Edit.CROPPED, Edit.RECOLOURED, Edit.OVERLAID, Edit.RESIZED, Edit.RECOMPRESSED}
    ),
}

Kept = TypeVar("Kept")


class Said(NamedTuple):
    """The result for a pair: similarity to rank by; whether they are copies; the edits."""

    rank: float
    copy: bool
    edits: frozenset[Edit] = frozenset()


class Query(NamedTuple):
    """An edited copy, and the results for its candidates (nearest vector first) and its original.

    The original need not be a candidate. `twins` are the original and other images of the same
    photograph in the gallery; finding one of these is correct, too.
    """

    edit: str
    place: int
    twins: frozenset[int]
    candidates: Sequence[int]
    said: Sequence[Said]
    original: Said

    def is_found(self) -> bool:
        """Whether the original or a twin is first; among equals, the nearest vector is."""
        best = int(np.argmax([one.rank for one in self.said]))
        return self.candidates[best] in self.twins

    def wrong(self) -> int:
        """Return the number of candidates that are wrongly named copies."""
        both = zip(self.candidates, self.said, strict=True)
        return sum(result.copy for place, result in both if place not in self.twins)


class Timed(Generic[Kept]):
    """Wraps a function and measures the CPU milliseconds of a call."""

    def __init__(self, call: Callable[..., Kept]) -> None:
        self._call = call
        self._spent, self._calls = 0.0, 0

    def __call__(self, *arguments: Any) -> Kept:
        began = time.process_time()
        result = self._call(*arguments)
        self._spent += time.process_time() - began
        self._calls += 1
        return result

    def mean(self) -> float:
        return 1000 * self._spent / max(1, self._calls)


class Asked(NamedTuple):
    """The results of each method for all copies, by its name, and its cost."""

    queries: Mapping[str, Sequence[Query]]
    keeping: float
    comparing: float
    bytes: float


class Gallery(NamedTuple):
    """The images, and the nearest images by vector of each copy."""

    pictures: Sequence[Image.Image]
    nearest: Mapping[str, Sequence[Sequence[int]]]
    twins: Sequence[frozenset[int]]


def run(options: Options) -> Findings:
    """For each edited copy, compare it with its candidates: is it a copy, and which edits?"""
    gallery = _gallery(options)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        # As in the workers; CPU time of threads that wait for each other would be counted.
        with threadpool_limits(1):
            ours = _ask(gallery, local_features, _ours, lambda features: len(features.to_bytes()))
            usual = _ask(gallery, plain_geometry.keep, _usual, plain_geometry.Plain.bytes, _EVERY)
    finally:
        cv2.setNumThreads(threads)
    queries = ours.queries["ours"]
    every = {**ours.queries, **usual.queries}
    where = "" if options.folder else " of the demo"
    return [
        f"{len(gallery.pictures)} pictures{where} and eleven edited copies of each. Each copy is "
        f"compared with the {FIRST} nearest pictures by vector, with the next up to "
        f"{MAX_CANDIDATES} if none of those is a copy, and with its original. "
        "Blocks: 800 points of SIFT at 480 pixels, a similarity by RANSAC, then the share of "
        "blocks of the aligned pictures that correlate: copies from 6 inliers and 60 % on. "
        f"Inliers: copies from 12 on, whatever the rest looks like. Both for one picture in "
        f"{_EVERY}.",
        "Recall@1 in %: how often the original comes first, by vector alone and when the "
        "candidates are put in order by geometry." + _of_twins(gallery),
        _recalls(gallery, every),
        "Originals that are named near-duplicates of their copies, in %; others that are named so, "
        "of the candidates; absent: for how many copies, in %, anything would be named so if their "
        "original were not there. Two photographs of one thing from almost the same place are "
        "others.",
        _kinds(every),
        "Edits that were named, in % of the near-duplicates: exactly what was done, nothing left "
        "out, and what went wrong most often.",
        _edits(gallery, queries),
        "What it costs on one core, in time of the processor, neighbours' disturbance included: "
        "to keep a picture, to compare two whose features are at hand (with the verdict), and the "
        "bytes that are kept of a picture.",
        Table(
            ["", "ms a picture", "ms a pair", "bytes a picture"],
            [
                [name, f"{one.keeping:.1f}", f"{one.comparing:.1f}", f"{one.bytes:,.0f}"]
                for name, one in (("ours", ours), ("blocks, inliers", usual))
            ],
        ),
        _aims(gallery, ours),
    ]


def _gallery(options: Options) -> Gallery:
    pictures = labels.load(labels.read(options.folder or ROOT / "demo"))
    embed = vector_variants.group_of(DEFAULT_PIPELINE)
    vectors = embed(pictures)[DEFAULT_PIPELINE]
    nearest = {}
    for edit in EDITS:
        copies = [edited(picture, edit, place) for place, picture in enumerate(pictures)]
        scores = embed(copies)[DEFAULT_PIPELINE] @ vectors.T
        order = np.argsort(-scores, axis=1, kind="stable")[:, :MAX_CANDIDATES]
        nearest[edit] = [[int(place) for place in row] for row in order]
    return Gallery(pictures, nearest, _twins(pictures, vectors))


def _twins(
    pictures: Sequence[Image.Image], vectors: vector_variants.Vectors
) -> list[frozenset[int]]:
    """Return, for each image, itself and others of the same photograph."""
    scores = vectors @ vectors.T
    twins = []
    for place, picture in enumerate(pictures):
        like = [int(one) for one in np.flatnonzero(scores[place] >= _TWIN_SCORE) if one != place]
        mine = local_features(picture) if like else None
        same = [
            one
            for one in like
            if mine is not None and _ours(mine, local_features(pictures[one]))["ours"].copy
        ]
        twins.append(frozenset({place, *same}))
    return twins


def _of_twins(gallery: Gallery) -> str:
    groups = {group for group in gallery.twins if len(group) > 1}
    if not groups:
        return ""
    return f" {len(groups)} photographs are there more than once: any of them is right."


def _ours(query: LocalFeatures, other: LocalFeatures) -> dict[str, Said]:
    geometry = match(query, other)
    verdict = judge(geometry, query, other)
    copy = verdict.kind == Kind.NEAR_DUPLICATE
    rank = 0.0  # by vector
    if copy:
        rank = 2 + round(10 * geometry.closeness) / 10
    elif verdict.kind == Kind.SAME_THING:
        rank = 0.5
    return {"ours": Said(rank, copy, frozenset(verdict.edits))}


def _usual(query: plain_geometry.Plain, other: plain_geometry.Plain) -> dict[str, Said]:
    inliers, alike = plain_geometry.compare(query, other)
    return {
        "blocks": Said(inliers, inliers >= 6 and alike >= 0.6),
        "inliers": Said(inliers, inliers >= 12),
    }


def _ask(
    gallery: Gallery,
    keep: Callable[[Image.Image], Kept],
    compare: Callable[[Kept, Kept], dict[str, Said]],
    size: Callable[[Kept], int],
    every: int = 1,
) -> Asked:
    keeping, comparing = Timed(keep), Timed(compare)
    features = [keeping(picture) for picture in gallery.pictures]
    queries: dict[str, list[Query]] = {}
    for edit, nearest in gallery.nearest.items():
        for place in range(0, len(features), every):
            query = keeping(edited(gallery.pictures[place], edit, place))
            by_place = _said(query, features, [*nearest[place][:FIRST], place], comparing)
            for name in by_place[place]:
                candidates = nearest[place][:FIRST]
                if not any(by_place[other][name].copy for other in candidates):
                    candidates = nearest[place]
                    rest = [other for other in candidates if other not in by_place]
                    by_place |= _said(query, features, rest, comparing)
                results = [by_place[other][name] for other in candidates]
                queries.setdefault(name, []).append(
                    Query(
                        edit,
                        place,
                        gallery.twins[place],
                        candidates,
                        results,
                        by_place[place][name],
                    )
                )
    mean = sum(map(size, features)) / len(features)
    return Asked(queries, keeping.mean(), comparing.mean(), mean)


def _said(
    query: Kept,
    features: Sequence[Kept],
    others: Sequence[int],
    compare: Callable[[Kept, Kept], dict[str, Said]],
) -> dict[int, dict[str, Said]]:
    return {other: compare(query, features[other]) for other in dict.fromkeys(others)}


def _percent(values: Sequence[bool]) -> float:
    return 100 * sum(values) / max(1, len(values))


def _by_edit(queries: Sequence[Query], is_so: Callable[[Query], bool]) -> list[float]:
    """Return the share in % for each edit, and the mean."""
    shares = [_percent([is_so(one) for one in queries if one.edit == edit]) for edit in EDITS]
    return [*shares, sum(shares) / len(shares)]


def _recalls(gallery: Gallery, every: Mapping[str, Sequence[Query]]) -> Table:
    alone = [
        _percent([row[0] == place for place, row in enumerate(gallery.nearest[edit])])
        for edit in EDITS
    ]
    rows = [("vector alone", [*alone, sum(alone) / len(alone)])]
    rows += [(name, _by_edit(queries, Query.is_found)) for name, queries in every.items()]
    return Table(
        ["", *EDITS, "mean"], [[name, *(f"{one:.1f}" for one in row)] for name, row in rows]
    )


def _kinds(every: Mapping[str, Sequence[Query]]) -> Table:
    rows = []
    for name, queries in every.items():
        named = _by_edit(queries, lambda query: query.original.copy)
        others = sum(len({*query.candidates} - query.twins) for query in queries)
        wrong = sum(query.wrong() for query in queries)
        rows.append(
            [
                name,
                *(f"{one:.1f}" for one in named),
                f"{wrong} of {others}",
                f"{_percent([query.wrong() > 0 for query in queries]):.2f}",
            ]
        )
    return Table(["", *EDITS, "mean", "others", "absent"], rows)


def _done(gallery: Gallery, query: Query) -> frozenset[Edit]:
    sides = gallery.pictures[query.place].size
    is_resized = query.edit == "page" and max(sides) != _SHOWN_AT
    return _DONE[query.edit] | ({Edit.RESIZED} if is_resized else set())


def _edits(gallery: Gallery, queries: Sequence[Query]) -> Table:
    rows = []
    for edit in EDITS:
        copies = [one for one in queries if one.edit == edit and one.original.copy]
        pairs = [(one.original.edits, _done(gallery, one)) for one in copies]
        wrong: Counter[str] = Counter()
        for named, done in pairs:
            wrong.update(f"not {one}" for one in done - named)
            wrong.update(f"also {one}" for one in named - done)
        rows.append(
            [
                edit,
                f"{_percent([named == done for named, done in pairs]):.1f}",
                f"{_percent([named >= done for named, done in pairs]):.1f}",
                ", ".join(f"{word}: {count}" for word, count in wrong.most_common(2)),
            ]
        )
    return Table(["", "exactly", "nothing left out", "wrong"], rows)


def _aims(gallery: Gallery, ours: Asked) -> str:
    queries = ours.queries["ours"]
    recalls = _by_edit(queries, Query.is_found)
    named = _percent([query.original.copy for query in queries])
    absent = _percent([query.wrong() > 0 for query in queries])
    copies = [query for query in queries if query.original.copy]
    exact = _percent([query.original.edits == _done(gallery, query) for query in copies])
    return (
        f"Ours: recall@1 {recalls[-1]:.2f} % {aim(recalls[-1] >= 99.8, '99.8 % at least')}, "
        f"{min(recalls):.1f} % for the worst edit {aim(min(recalls) >= 99, '99 % at least')}; "
        f"near-duplicates named so {named:.2f} % {aim(named >= 99, '99 % at least')}; absent ones "
        f"{absent:.2f} % {aim(absent <= 0.1, '0.1 % at most')}; exactly the edits {exact:.1f} % "
        f"{aim(exact >= 90, '90 % at least')}; {ours.comparing:.1f} ms a pair "
        f"{aim(ours.comparing <= 5, '5 ms at most')}, {ours.bytes / 1000:.1f} KB a picture "
        f"{aim(ours.bytes <= 20_000, '20 KB at most')}."
    )
