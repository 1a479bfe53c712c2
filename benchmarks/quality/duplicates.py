"""Benchmark of duplicates: edited copies that `dedupe` finds at a threshold, and false ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.options import Options
from benchmarks.quality import labels, vector_variants
from benchmarks.report import Findings, Table
from embeddings.duplicates import groups
from embeddings.recipes import DEFAULT_PIPELINE
from harness.edits import EDITS, edited
from harness.installation import ROOT

THRESHOLDS = (0.85, 0.9, 0.95)
# imagededup's default: a distance of 10 of 64 bits.
_HASH_DISTANCE = 10


def run(options: Options) -> Findings:
    """Check for each image whether its edited copies are grouped with it."""
    folder = options.folder or ROOT / "demo"
    pictures = labels.load(labels.read(folder))
    models = [vector_variants.group_of(name) for name in options.pipelines or (DEFAULT_PIPELINE,)]
    contestants = [vector_variants.hashes, *models]
    originals = {name: some for one in contestants for name, some in one(pictures).items()}
    copies: dict[str, dict[str, vector_variants.Vectors]] = {}
    for edit in EDITS:
        changed = [edited(picture, edit, place) for place, picture in enumerate(pictures)]
        copies[edit] = {name: some for one in contestants for name, some in one(changed).items()}
    rows = []
    for name, vectors in originals.items():
        hashed = name in ("pHash", "dHash")
        for threshold in (1 - _HASH_DISTANCE / 32,) if hashed else THRESHOLDS:
            label = f"distance {_HASH_DISTANCE} at most" if hashed else f"score {threshold:g}"
            shares = [_found(vectors, copies[edit][name], threshold) for edit in EDITS]
            rows.append(
                [
                    f"{name}, {label}",
                    *(f"{100 * share:.0f}" for share in shares),
                    f"{100 * np.mean(shares):.0f}",
                    str(_pairs(vectors, threshold)),
                    str(_grouped(vectors, threshold)),
                ]
            )
    where = "" if options.folder else " of the demo"
    return [
        f"{len(pictures)} pictures{where} and eleven edited copies of each: how many copies reach "
        "the threshold with their original, in %. Pairs: different pictures that reach it with "
        "each other, right or wrong; grouped: how many `dedupe` would name as duplicates among "
        "the originals alone.",
        Table(["", *EDITS, "mean", "pairs", "grouped"], rows),
    ]


def _found(
    originals: vector_variants.Vectors, copies: vector_variants.Vectors, threshold: float
) -> float:
    return float(((originals * copies).sum(axis=1) >= threshold - 1e-6).mean())


def _pairs(vectors: vector_variants.Vectors, threshold: float) -> int:
    scores = vectors @ vectors.T
    return int((np.triu(scores, 1) >= threshold - 1e-6).sum())


def _grouped(vectors: vector_variants.Vectors, threshold: float) -> int:
    sizes: Sequence[int] = [len(one.duplicates) for one in groups(vectors, threshold - 1e-6)]
    return sum(sizes)
