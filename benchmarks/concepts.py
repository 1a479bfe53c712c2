"""How well words find pictures through an ImageNet classifier's concepts, and what that costs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import labels
from benchmarks.options import Options
from benchmarks.report import Findings, NotHere, Table, percentile
from embeddings import pipeline, recipes, text_encoder
from embeddings.errors import PackageMissing
from embeddings.operators.classify import TimmClassification
from embeddings.text.classes import class_matrix
from tests.installation import ROOT

Vectors = npt.NDArray[np.float32]

_FOUND = 5
_SMALLEST = 4  # pictures of a category that is asked for
_TEXTS = 100
_WARM = 8


@dataclass(frozen=True)
class Scores:
    """Means over categories, 0 to 1: precision of the first five, and average precision."""

    precision: float
    average: float


def run(options: Options) -> Findings:
    """Ask for each category by its name; time texts, and pictures with and without concepts."""
    folder = options.folder or ROOT / "demo"
    listed = labels.read(folder)
    plain = pipeline(recipes.DEFAULT_PIPELINE)
    try:
        encoder = text_encoder(f"{recipes.DEFAULT_PIPELINE}:concepts")
        both = plain.with_text()
    except PackageMissing as error:
        raise NotHere(str(error)) from error
    paths = [str(one.path) for one in listed]
    categories = [one.category for one in listed]
    asked = [name for name, size in Counter(categories).items() if size >= _SMALLEST]
    if not asked:
        raise NotHere(f"{folder} has no category of {_SMALLEST} pictures.")
    words = [name.replace("-", " ").replace("_", " ") for name in asked]
    texts = encoder.encode(words)
    contestants = {
        "concepts: the mean of the classes' sentences": both(paths).text,
        "the likeliest class's sentence alone": _argmax(paths),
    }
    rows = [
        [name, *_shown(score(vectors, texts, categories, asked))]
        for name, vectors in contestants.items()
    ]
    rows.append(["chance", f"{100 * _chance(categories, asked):.1f}", "–"])
    return [
        f"{len(listed)} pictures{'' if options.folder else ' of the demo'}; each of the "
        f"{len(asked)} categories of {_SMALLEST} pictures or more is asked for by its name. "
        "Precision@5: how many of the first five are of the category (of all there are, where "
        "they are fewer); AP: average precision over the whole order; means over categories, in "
        "%. The prompt and the definitions in the sentences were chosen on the demo and on the "
        "evaluation pictures, so that neither figure is of pictures never seen.",
        Table(["", "precision@5", "AP"], rows),
        *_cost(plain.runtime, encoder.encode, words, plain, both, paths),
    ]


def score(
    vectors: Vectors, texts: Vectors, categories: Sequence[str], asked: Sequence[str]
) -> Scores:
    """How well `texts` (C, D), one for each category asked for, find its pictures' vectors
    (N, D), whose categories are `categories`."""
    named = np.array(categories)
    precisions, averages = [], []
    for text, name in zip(texts, asked, strict=True):
        right = (named == name)[np.argsort(-(vectors @ text), kind="stable")]
        precisions.append(right[:_FOUND].sum() / min(_FOUND, right.sum()))
        averages.append((np.cumsum(right) / np.arange(1, len(right) + 1))[right].mean())
    return Scores(float(np.mean(precisions)), float(np.mean(averages)))


def _argmax(paths: Sequence[str]) -> Vectors:
    """For each picture the vector of what the classifier's first label says."""
    plain = pipeline(recipes.DEFAULT_PIPELINE)
    classify = TimmClassification(**TimmClassification.canonical(top=1000))
    sentences = class_matrix()
    places = {label: at for at, label in enumerate(classify.labels)}
    best = []
    for start in range(0, len(paths), _WARM):
        pixels = [plain.prepare(plain.decode(path).image) for path in paths[start : start + _WARM]]
        best += [places[found[0][0]] for found in classify.batch(pixels)]
    vectors: Vectors = sentences[best]
    return vectors


def _chance(categories: Sequence[str], asked: Sequence[str]) -> float:
    sizes = Counter(categories)
    return sum(sizes[name] for name in asked) / len(asked) / len(categories)


def _shown(found: Scores) -> list[str]:
    return [f"{100 * found.precision:.1f}", f"{100 * found.average:.1f}"]
