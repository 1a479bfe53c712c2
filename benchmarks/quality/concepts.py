"""Benchmark of text search by an ImageNet classifier's concepts: precision and cost."""

from __future__ import annotations

import functools
import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.options import Options
from benchmarks.quality import labels
from benchmarks.report import Findings, NotHere, Table, percentile
from embeddings import (
    DEFAULT_PIPELINE,
    ImagePipeline,
    ImageTextPipeline,
    TextEncoder,
    ops,
    pipeline,
    text_encoder,
)
from embeddings.errors import PackageMissing
from embeddings.text.imagenet_classes import class_matrix
from harness.installation import ROOT

Vectors = npt.NDArray[np.float32]

_FOUND = 5
_MIN_CATEGORY = 4  # least images of a category to search for
_TEXTS = 100
_AT_ONCE = 16
_MODEL = "efficientnet-lite0"


@dataclass(frozen=True)
class Scores:
    """Means over categories, 0 to 1: precision at 5, and average precision."""

    precision: float
    average: float


def run(options: Options) -> Findings:
    """Search for each category's name; time texts, and images with and without concepts."""
    folder = options.folder or ROOT / "demo"
    listed = labels.read(folder)
    plain = pipeline(DEFAULT_PIPELINE)
    try:
        encoder = text_encoder(f"{DEFAULT_PIPELINE}:concepts")
        both = plain.with_text()
    except PackageMissing as error:
        raise NotHere(str(error)) from error
    paths = [str(one.path) for one in listed]
    categories = [one.category for one in listed]
    eligible = [name for name, size in Counter(categories).items() if size >= _MIN_CATEGORY]
    if not eligible:
        raise NotHere(f"{folder} has no category of {_MIN_CATEGORY} pictures.")
    words = [name.replace("-", " ").replace("_", " ") for name in eligible]
    texts = encoder.encode(words)
    contestants = {
        "concepts: the mean of the classes' sentences": both(paths).text,
        "the likeliest class's sentence alone": _argmax(plain, paths),
    }
    rows = [
        [name, *_shown(score(vectors, texts, categories, eligible))]
        for name, vectors in contestants.items()
    ]
    rows.append(["chance", f"{100 * _chance(categories, eligible):.1f}", "–"])
    return [
        f"{len(listed)} pictures{'' if options.folder else ' of the demo'}; each of the "
        f"{len(eligible)} categories of {_MIN_CATEGORY} pictures or more is asked for by its name. "
        "Precision@5: how many of the first five are of the category (of all there are, where "
        "they are fewer); AP: average precision over the whole order; means over categories, in "
        "%. The prompt and the definitions in the sentences were chosen on the demo and on the "
        "evaluation pictures, so that neither figure is of pictures never seen.",
        Table(["", "precision@5", "AP"], rows),
        *_cost(options, encoder, words, plain, both, paths),
    ]


def score(
    vectors: Vectors, texts: Vectors, categories: Sequence[str], names: Sequence[str]
) -> Scores:
    """Score how well `texts` (C, D), one per category in `names`, find images of that category.

    `vectors` (N, D) are of the images, whose categories are `categories`.
    """
    named = np.array(categories)
    precisions, averages = [], []
    for text, name in zip(texts, names, strict=True):
        right = (named == name)[np.argsort(-(vectors @ text), kind="stable")]
        precisions.append(right[:_FOUND].sum() / min(_FOUND, right.sum()))
        averages.append((np.cumsum(right) / np.arange(1, len(right) + 1))[right].mean())
    return Scores(float(np.mean(precisions)), float(np.mean(averages)))


def _argmax(plain: ImagePipeline, paths: Sequence[str]) -> Vectors:
    """Return, for each image, the text vector of its most likely class."""
    concepts: Any = ops.image_text_embedding.concepts(_MODEL, takes="pixels").implementation
    best: list[int] = []
    for start in range(0, len(paths), _AT_ONCE):
        chunk = paths[start : start + _AT_ONCE]
        pixels = np.stack([plain.prepare(plain.decode(path).image) for path in chunk])
        scores = concepts.network(*pixels.shape[2:])(pixels)[:, -concepts.head :]
        best += scores.argmax(axis=1).tolist()
    vectors: Vectors = class_matrix()[best]
    return vectors


def _chance(categories: Sequence[str], names: Sequence[str]) -> float:
    sizes = Counter(categories)
    return sum(sizes[name] for name in names) / len(names) / len(categories)


def _shown(scores: Scores) -> list[str]:
    return [f"{100 * scores.precision:.1f}", f"{100 * scores.average:.1f}"]


def _cost(
    options: Options,
    encoder: TextEncoder,
    words: Sequence[str],
    plain: ImagePipeline,
    both: ImageTextPipeline,
    paths: Sequence[str],
) -> Findings:
    """Time texts, and images with and without the second vector, alternately."""
    for word in words:  # warm-up: each length of a text once
        encoder.encode(word)
    again = itertools.islice(itertools.cycle(words), _TEXTS)
    texts = [_timed(functools.partial(encoder.encode, word)) for word in again]
    ways: dict[str, Callable[[], object]] = {
        f"one vector, {plain.runtime} {plain.precision}": lambda: plain(paths),
        f"both, {both.runtime} {both.precision}": lambda: both(paths),
    }
    durations: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(options.rounds):
        for name in list(ways)[:: 1 if number % 2 == 0 else -1]:
            durations[name].append(_timed(ways[name]))
    rates = {name: len(paths) * len(seconds) / sum(seconds) for name, seconds in durations.items()}
    one, two = rates.values()
    return [
        Table(["", "images/s"], [[name, f"{rate:.1f}"] for name, rate in rates.items()]),
        f"Both vectors take **{one / two:.2f} times** what one takes, from files, over "
        f"{options.rounds} rounds in turns. A text takes {1000 * percentile(texts, 50):.1f} ms "
        f"(p50; p95 {1000 * percentile(texts, 95):.1f}) in {encoder.runtime}, warm, alone.",
    ]


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
