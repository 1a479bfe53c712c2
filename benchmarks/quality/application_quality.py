"""Search quality of the whole application over HTTP: recall, match kinds, and absent images."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.installation.processes import place, rest
from benchmarks.options import Options
from benchmarks.quality import labels, scores, vector_variants
from benchmarks.quality.labels import Labelled
from benchmarks.report import Findings, Table, aim, percentile
from embeddings.geometry.kinds import Edit, Kind
from harness.edits import EDITS, edited
from harness.installation import ROOT, Client, wait_until

# The edits that must be named, at least. Every copy is saved as JPEG and so recompressed, and some
# are resized: naming these, too, is correct.
NAMES: dict[str, frozenset[Edit]] = {
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
    "all": frozenset({Edit.CROPPED, Edit.RECOLOURED, Edit.OVERLAID, Edit.RESIZED}),
}
_ALSO_RIGHT = {
    "page": frozenset({Edit.RESIZED}),
    "all": frozenset({Edit.RECOMPRESSED}),
}
_TOP = 10
_TWIN_SCORE = 0.9  # least cosine of one photograph that is in the gallery twice
_COPY = frozenset({Kind.IDENTICAL, Kind.NEAR_DUPLICATE})
_AT_ONCE = 4  # concurrent searches
_PATIENCE_SECONDS = 1800.0
_ALIKE_BITS = 10  # of 64: the usual largest distance of copies' hashes


@dataclass
class Asked:
    """Results for the copies that one edit makes."""

    first: int = 0  # copies whose original is the first match
    named: int = 0  # … and is called a copy
    edits: int = 0  # … with all its edits named
    exactly: int = 0  # … and no others
    number: int = 0


@dataclass
class Kinds:
    """How often each kind was returned, and how often correctly."""

    given: Counter[Kind] = field(default_factory=Counter)
    right: Counter[Kind] = field(default_factory=Counter)


@dataclass
class Answers:
    """All counts."""

    by_edit: dict[str, Asked] = field(default_factory=dict)
    kinds: Kinds = field(default_factory=Kinds)
    absent: int = 0  # searches for images that are not in the dataset
    absent_kinds: Counter[Kind] = field(default_factory=Counter)  # of those, with such a match
    nothing: int = 0  # of those, answered with 'nothing like this'
    strangers: int = 0  # searches for images of another gallery
    strangers_nothing: int = 0
    strangers_copies: int = 0
    lost: int = 0  # searches for a copy that were answered so
    twins: dict[str, frozenset[str]] = field(default_factory=dict)  # each image and its twins
    verify_ms: list[float] = field(default_factory=list)
    unverified: int = 0


def run(options: Options) -> Findings:
    """Import the gallery; search with edited copies, with and without their originals in it, and
    with images of another gallery."""
    folder = options.folder or ROOT / "demo"
    listed = labels.read(folder)
    chosen = listed[:: -(-len(listed) // options.asked)]
    strangers = [] if options.folder is None else labels.read(ROOT / "demo")
    with place() as installation:
        client = Client(installation.url, installation.key("write"))
        slug = fill(client, listed)
        rest(installation)  # until the local features of all images are computed
        answers = ask(client, slug, listed, chosen, strangers)
    return _findings(answers, labels.load(listed), [listed.index(one) for one in chosen])


def fill(client: Client, listed: Sequence[Labelled]) -> str:
    """Upload the gallery; return its dataset once all is searchable and scores are calibrated."""
    slug = client.dataset("Gallery")
    for start in range(0, len(listed), 50):
        files = [(one.path.name, one.path.read_bytes()) for one in listed[start : start + 50]]
        client.finished(client.upload(slug, *files)["job"], _PATIENCE_SECONDS)
    wait_until(lambda: _is_calibrated(client, slug), "the dataset is not calibrated")
    return slug


def _is_calibrated(client: Client, slug: str) -> bool:
    indexes = client.get(f"/datasets/{slug}/indexes/").json()["results"]
    return any(index["calibration"] for index in indexes)


def ask(
    client: Client,
    slug: str,
    listed: Sequence[Labelled],
    chosen: Sequence[Labelled],
    strangers: Sequence[Labelled],
) -> Answers:
    """Search with every edit of the chosen images, with and without the original."""
    answers = Answers({edit: Asked() for edit in EDITS})
    categories = {one.path.name: one.category for one in listed}
    pictures = labels.load(chosen)
    with tempfile.TemporaryDirectory(prefix="lk-bench-") as directory, _threads() as threads:
        originals = threads.map(lambda one: _search(client, one.path, slug), chosen)
        for one, answer in zip(chosen, originals, strict=True):
            answers.twins[one.path.name] = _twins(one, answer)
        for edit in EDITS:
            copies = [
                save(edited(picture, edit, x), picture, edit, Path(directory) / f"{x}.jpg")
                for x, picture in enumerate(pictures)
            ]
            there = threads.map(lambda copy: _search(client, copy, slug), copies)
            for one, answer in zip(chosen, there, strict=True):
                _count(answers, edit, one, answer, categories)
            absent = threads.map(
                lambda pair: _search(client, pair[0], slug, answers.twins[pair[1].path.name]),
                zip(copies, chosen, strict=True),
            )
            for answer in absent:
                _count_absent(answers, answer)
        for answer in threads.map(lambda one: _search(client, one.path, slug), strangers):
            kinds = {Kind(result["kind"]) for result in answer["results"]}
            answers.strangers += 1
            answers.strangers_copies += bool(kinds & _COPY)
            answers.strangers_nothing += answer["cutoff"]["nothing_like_it"]
    return answers


def save(copy: Image.Image, original: Image.Image, edit: str, path: Path) -> Path:
    """Save a copy as JPEG, of a quality without visible artifacts."""
    if edit == "JPEG 25":
        original.save(path, "JPEG", quality=25)  # from the original: compressed only once
    else:
        copy.save(path, "JPEG", quality=92)
    return path


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        yield threads


def _twins(original: Labelled, answer: dict[str, Any]) -> frozenset[str]:
    """Return the image and others of the gallery that are the same photograph.

    Finding these is correct, too. The report names them, so that readers can check.
    """
    alike = {
        result["image"]["title"]
        for result in answer["results"]
        if result["kind"] in _COPY and result["score"] >= _TWIN_SCORE
    }
    return frozenset(alike | {original.path.name})


def _search(
    client: Client, picture: Path, slug: str, without: frozenset[str] = frozenset()
) -> dict[str, Any]:
    fields: dict[str, Any] = {"dataset": slug, "top_k": _TOP}
    if without:
        fields["filter"] = json.dumps({"not": {"field": "name", "in": sorted(without)}})
    answer = client.search(picture.read_bytes(), **fields)
    if answer.status_code != 200:
        raise RuntimeError(f"a search was answered with {answer.status_code}: {answer.text}")
    body: dict[str, Any] = answer.json()
    return body


def _count(
    answers: Answers,
    edit: str,
    original: Labelled,
    answer: dict[str, Any],
    categories: dict[str, str],
) -> None:
    count, results = answers.by_edit[edit], answer["results"]
    count.number += 1
    answers.verify_ms.append(answer["took_ms"]["verify"])
    answers.unverified += not answer["verified"]
    answers.lost += answer["cutoff"]["nothing_like_it"]
    twins = answers.twins[original.path.name]
    count.first += bool(results) and results[0]["image"]["title"] in twins
    for result in results:
        name, kind = result["image"]["title"], Kind(result["kind"])
        own = name in twins
        answers.kinds.given[kind] += 1
        alike = categories[name] == original.category
        answers.kinds.right[kind] += own if kind in _COPY else alike
        if name == original.path.name and kind in _COPY:
            named = {Edit(edit) for edit in result["edits"]}
            count.named += 1
            all_of_it = named >= NAMES[edit]
            right = NAMES[edit] | _ALSO_RIGHT.get(edit, frozenset()) | {Edit.RECOMPRESSED}
            count.edits += all_of_it
            count.exactly += all_of_it and named <= right


def _count_absent(answers: Answers, answer: dict[str, Any]) -> None:
    answers.absent += 1
    answers.absent_kinds.update({Kind(result["kind"]) for result in answer["results"]})
    answers.nothing += answer["cutoff"]["nothing_like_it"]


def _percent(part: float, whole: float, digits: int = 1) -> str:
    return f"{100 * part / whole:.{digits}f}" if whole else "–"


def _findings(answers: Answers, pictures: Sequence[Image.Image], chosen: Sequence[int]) -> Findings:
    hashes = _hashes(pictures, chosen)
    total = Asked(
        **{
            name: sum(getattr(one, name) for one in answers.by_edit.values())
            for name in ("first", "named", "edits", "exactly", "number")
        }
    )
    columns = {**answers.by_edit, "all edits": total}
    rows = [
        ["recall@1", *(_percent(one.first, one.number) for one in columns.values())],
        ["called a copy", *(_percent(one.named, one.number) for one in columns.values())],
        ["edits named", *(_percent(one.edits, one.named) for one in columns.values())],
        ["… and no other", *(_percent(one.exactly, one.named) for one in columns.values())],
    ]
    for name, by_edit in hashes.items():
        values = [hashed.recall for hashed in by_edit.values()]
        mean = sum(values) / len(values)
        rows.append([f"recall@1, {name}", *(_percent(value, 1) for value in [*values, mean])])
    false_copies = answers.absent_kinds[Kind.NEAR_DUPLICATE] + answers.absent_kinds[Kind.IDENTICAL]
    least = min(one.first / one.number for one in answers.by_edit.values())
    return [
        f"The application, with {len(pictures)} pictures uploaded through its API, asked with "
        f"{total.number} edited copies of {len(chosen)} of them (JPEG) as it comes, "
        f"first {_TOP} results. In %; hashes rank the same copies.",
        Table(["", *columns], rows),
        f"Recall@1 over all edits {_percent(total.first, total.number, 2)} % "
        f"{aim(total.first >= 0.998 * total.number, '99.8')}, of the hardest edit "
        f"{100 * least:.1f} % {aim(least >= 0.99, '99')}; "
        f"called copies {_percent(total.named, total.number, 2)} % "
        f"{aim(total.named >= 0.99 * total.number, '99')}; edits named rightly "
        f"{_percent(total.edits, total.named)} % {aim(total.edits >= 0.9 * total.named, '90')}; "
        f"{_percent(answers.lost, total.number, 2)} % were told that nothing like it is there.",
        "The kinds. Precision: of the results of a kind, how many are the original itself "
        "(identical, near-duplicate) or of its category (same thing, similar, weak), in %. Absent: "
        "how many of as many searches whose original was left out by a filter got a result of "
        "this kind at all, in %.",
        _kinds_table(answers),
        f"Of {answers.absent} searches for what is absent, {false_copies} were shown a "
        f"near-duplicate {aim(false_copies <= 0.001 * answers.absent, '1 in 1,000')}, and "
        f"{_percent(answers.nothing, answers.absent)} % were told that nothing like it is there "
        "(others of its kind are there, for most)." + _of_strangers(answers),
        *_of_twins(answers),
        _hash_sentence(hashes),
        f"Looking at the best matches again took {statistics.median(answers.verify_ms):.0f} ms at "
        f"the median, {percentile(answers.verify_ms, 95):.0f} ms at the 95th percentile, with "
        f"{_AT_ONCE} searches on the way; {_percent(answers.unverified, total.number, 2)} % of the "
        "searches were answered without.",
    ]


def _of_strangers(answers: Answers) -> str:
    if not answers.strangers:
        return ""
    return (
        f" Of {answers.strangers} pictures of another gallery, "
        f"{_percent(answers.strangers_nothing, answers.strangers)} % were told so, and "
        f"{answers.strangers_copies} were shown a near-duplicate."
    )


def _of_twins(answers: Answers) -> list[str]:
    groups = sorted(
        {", ".join(sorted(group)) for group in answers.twins.values() if len(group) > 1}
    )
    if not groups:
        return []
    return [f"The same photograph, twice in the gallery, counted as one: {'; '.join(groups)}."]


def _kinds_table(answers: Answers) -> Table:
    return Table(
        ["", "results", "precision", "absent"],
        [
            [
                str(kind),
                str(answers.kinds.given[kind]),
                _percent(answers.kinds.right[kind], answers.kinds.given[kind]),
                _percent(answers.absent_kinds[kind], answers.absent, 2),
            ]
            for kind in Kind
        ],
    )


@dataclass(frozen=True)
class Hashed:
    """Results of a hash for the copies of one edit, as shares of copies.

    `recall`: the original is first; `named`: it is within the usual distance; `false`: another
    image is.
    """

    recall: float
    named: float
    false: float


def _hashes(pictures: Sequence[Image.Image], chosen: Sequence[int]) -> dict[str, dict[str, Hashed]]:
    gallery = vector_variants.hashes(pictures)
    results: dict[str, dict[str, Hashed]] = {name: {} for name in gallery}
    cut = 1 - _ALIKE_BITS / 32
    for edit in EDITS:
        copies = vector_variants.hashes(
            [edited(pictures[x], edit, place) for place, x in enumerate(chosen)]
        )
        for name, vectors in copies.items():
            one = scores.search(vectors, gallery[name], chosen)
            results[name][edit] = Hashed(
                scores.recall_at_1(one),
                float(np.mean(one.own >= cut - 1e-6)),
                float(np.mean(one.other >= cut - 1e-6)),
            )
    return results


def _hash_sentence(hashes: dict[str, dict[str, Hashed]]) -> str:
    parts = []
    for name, by_edit in hashes.items():
        named = statistics.fmean(one.named for one in by_edit.values())
        false = statistics.fmean(one.false for one in by_edit.values())
        parts.append(f"{name} {100 * named:.1f} % and {100 * false:.2f} %")
    return (
        f"Hashes that call a copy what differs in at most {_ALIKE_BITS} of 64 bits: copies named, "
        f"and absent ones falsely, {', '.join(parts)}."
    )
