"""Quality of vectors alone: recall of edited copies, precision of categories, false matches."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from benchmarks.options import Options
from benchmarks.quality import labels, scores, vector_variants
from benchmarks.report import Findings, Table
from embeddings import thread_count
from harness.edits import EDITS, edited
from harness.installation import ROOT

FALSE_SHARES = (0.01, 0.05)
_WHITENED = ("exact", "squash, flip")
_AT_ONCE = 16  # images per chunk, with all their views in memory

Embedded = dict[str, vector_variants.Vectors]  # by variant
Found = dict[str, dict[str, scores.Found]]  # by variant and edit


def run(options: Options) -> Findings:
    """Embed the gallery and its edited copies with every variant; score them."""
    before = thread_count.threads()
    thread_count.set_threads(1)  # each core processes its own chunk; see `_embed`
    try:
        return _run(options)
    finally:
        thread_count.set_threads(before)


def _run(options: Options) -> Findings:
    folder = options.folder or ROOT / "demo"
    listed = labels.read(folder)
    groups: list[vector_variants.Group] = [vector_variants.hashes, vector_variants.Models()]
    groups += [vector_variants.group_of(name) for name in options.pipelines]
    pictures = labels.load(listed)
    gallery = _embed(groups, pictures)
    copies = {edit: _embed(groups, pictures, edit) for edit in EDITS}
    for name in _WHITENED:
        whiten = vector_variants.whitening(gallery[name])
        for embedded in (gallery, *copies.values()):
            embedded[f"{name}, whitened"] = whiten(embedded[name])
    results: Found = {
        name: {edit: scores.search(copies[edit][name], vectors) for edit in EDITS}
        for name, vectors in gallery.items()
    }
    return [
        f"{len(pictures)} pictures{'' if options.folder else ' of the demo'}, and of each "
        f"{len(EDITS)} edited copies that search among the originals; the same copies in every "
        "run. Hashes are compared by the share of equal bits, all else by cosine; a picture that "
        "scores no more than another has not been found.",
        "Recall@1 in %: how often the original comes first.",
        _by_edit(results, scores.recall_at_1),
        "mAP@10 in %.",
        _by_edit(results, scores.map_at_10),
        "Precision@5 in %: how many of the five nearest others of an original are of the same "
        "category, the mean over pictures and over categories, of those categories that have six "
        "pictures or more. Cut-off: the score that only 1 % or 5 % of all "
        "edited copies exceed when their own original is removed; recall: how many copies still "
        "find their original, first and above the cut-off, in %.",
        _summary(results, gallery, [one.category for one in listed]),
    ]


def _embed(
    groups: Sequence[vector_variants.Group],
    pictures: Sequence[Image.Image],
    edit: str | None = None,
) -> Embedded:
    """Return the vectors of the images, or of their copies that `edit` makes, by every variant.

    Each core processes its own chunk, with one torch thread: two threads for one chunk would wait
    for each other.
    """

    def embed(start: int) -> Embedded:
        places = range(start, min(start + _AT_ONCE, len(pictures)))
        chunk = [edited(pictures[x], edit, x) if edit else pictures[x] for x in places]
        return {name: vectors for group in groups for name, vectors in group(chunk).items()}

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        parts = list(threads.map(embed, range(0, len(pictures), _AT_ONCE)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _by_edit(results: Found, score: Callable[[scores.Found], float]) -> Table:
    """Return a table with a row per variant, and columns for each edit and the mean."""
    rows = []
    for name, by_edit in results.items():
        values = [score(one) for one in by_edit.values()]
        rows.append([name, *map(_percent, [*values, sum(values) / len(values)])])
    return Table(["", *EDITS, "mean"], rows)


def _summary(results: Found, gallery: Embedded, categories: Sequence[str]) -> Table:
    """Return a table with a row per variant: precision of categories, cut-offs and their recall."""
    headings = ["", "dimensions", "precision@5", "by category"]
    for share in FALSE_SHARES:
        headings += [f"cut-off at {100 * share:.0f} %", "recall"]
    rows = []
    for name, by_edit in results.items():
        vectors = gallery[name]
        precise = scores.precision_at_5(vectors, categories)
        row = [name, str(vectors.shape[1])]
        row += [_percent(precise.overall), _percent(precise.by_category)]
        for share in FALSE_SHARES:
            cut, recall = scores.cut_off(scores.together(list(by_edit.values())), share)
            row += [f"{cut:.3f}", _percent(recall)]
        rows.append(row)
    return Table(headings, rows)
