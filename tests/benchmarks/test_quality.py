"""The quality benchmark: edits, scores, variants, and the whole on a few pictures."""

from __future__ import annotations

import math
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.options import Options
from benchmarks.quality import labels, scores, vector_quality, vector_variants
from benchmarks.quality.labels import Labelled
from benchmarks.report import NotHere, Table
from embeddings import pipeline
from embeddings.recipes import DEFAULT_PIPELINE
from harness import edits
from harness.installation import ROOT


@pytest.fixture(scope="module")
def listed() -> list[Labelled]:
    return labels.read(ROOT / "demo")


def test_labels_of_the_demo(listed: list[Labelled]) -> None:
    assert len(listed) == 228
    assert listed[0] == Labelled(ROOT / "demo" / "erase-crab.jpg", "animal")
    assert all(picture.path.is_file() for picture in listed)


def test_a_folder_without_labels_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(NotHere, match=r"has neither labels\.csv nor demo\.csv"):
        labels.read(tmp_path)
    (tmp_path / "labels.csv").write_text("file,kind\na.jpg,cat\n")
    with pytest.raises(NotHere, match="has no column category"):
        labels.read(tmp_path)


@pytest.mark.parametrize("edit", edits.EDITS)
def test_an_edit_changes_the_picture_and_is_the_same_every_time(
    edit: str, listed: list[Labelled]
) -> None:
    (picture,) = labels.load(listed[:1])
    before = picture.tobytes()
    edited_picture = edits.edited(picture, edit, 3)
    assert edited_picture.mode == "RGB"
    assert edited_picture.tobytes() != before
    assert edited_picture.tobytes() == edits.edited(picture, edit, 3).tobytes()
    assert picture.tobytes() == before


def _unit(*rows: list[float]) -> vector_variants.Vectors:
    return vector_variants.unit(np.array(rows, np.float32))


def test_ranks_and_scores() -> None:
    gallery = _unit([1, 0, 0], [0, 1, 0], [0, 0, 1])
    result = scores.search(_unit([1, 0, 0], [3, 2, 1], [1, 1, 1]), gallery)
    assert result.rank.tolist() == [1, 2, 3]  # among equals, the last
    assert scores.recall_at_1(result) == pytest.approx(1 / 3)
    assert scores.map_at_10(result) == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    np.testing.assert_allclose(result.own, [1, 2 / 14**0.5, 3**-0.5], rtol=1e-6)
    np.testing.assert_allclose(result.other, [0, 3 / 14**0.5, 3**-0.5], atol=1e-6)
    assert len(scores.together([result, result]).rank) == 6


def test_a_cut_off_lets_no_more_than_its_share_through() -> None:
    own, other = np.linspace(0.5, 1, 200), np.linspace(0, 0.9, 200)
    result = scores.Found(own, other, np.where(own > other, 1, 2))
    for share in (0.01, 0.05):
        cut, recall = scores.cut_off(result, share)
        assert (other > cut).sum() == round(200 * share)
        assert recall == (own > cut).mean()
    assert scores.cut_off(result, 0)[0] == 0.9


def test_precision_asks_about_large_categories_only() -> None:
    cats, dogs = [[1.0, 0.01 * n] for n in range(6)], [[0.01 * n, 1.0] for n in range(3)]
    gallery = _unit(*cats, *dogs)
    assert scores.precision_at_5(gallery, ["cat"] * 6 + ["dog"] * 3).overall == 1
    mixed = scores.precision_at_5(gallery, ["cat"] * 5 + ["bird"] + ["dog"] * 2 + ["cat"])
    assert mixed.overall == pytest.approx((5 * 4 + 2) / 30)
    assert math.isnan(scores.precision_at_5(gallery, list("abcdefghi")).overall)


@pytest.fixture
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipelines in the precision of the variants, whatever the processor has."""
    exact = partial(pipeline, precision="float32")
    monkeypatch.setattr(vector_variants, "pipeline", exact)


@pytest.mark.long
def test_the_variant_exact_is_the_pipeline(in_float32: None, listed: list[Labelled]) -> None:
    pictures = labels.load(listed[:5])
    variants = vector_variants.Models()(pictures)
    ours = vector_variants.group_of(DEFAULT_PIPELINE)(pictures)[DEFAULT_PIPELINE]
    assert ((variants["exact"] * ours).sum(axis=1) > 0.9999).all()
    for name, vectors in variants.items():
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5, err_msg=name)
    assert len({vectors.tobytes() for vectors in variants.values()}) == len(variants)
    mirrored = vector_variants.Models()(
        [edits.edited(picture, "mirror", 0) for picture in pictures]
    )
    sums = (variants["flip"] * mirrored["flip"]).sum(axis=1)
    assert (sums > 0.98).all()  # not 1: the middle of an odd width is half a pixel beside
    assert (sums > (variants["exact"] * mirrored["exact"]).sum(axis=1)).all()


def test_hashes_are_compared_by_their_bits(listed: list[Labelled]) -> None:
    pictures = labels.load(listed[:2])
    for vectors in vector_variants.hashes(pictures).values():
        assert vectors.shape == (2, 64)
        differing = int((vectors[0] != vectors[1]).sum())
        assert float(vectors[0] @ vectors[1]) == pytest.approx(1 - differing / 32, abs=1e-6)


def test_whitening_makes_a_gallery_round() -> None:
    rng = np.random.default_rng(2)
    long = vector_variants.unit(rng.standard_normal((400, 8)) * [9, 3, 1, 1, 1, 1, 1, 1])
    white = vector_variants.whitening(long)(long)
    before, after = (np.linalg.eigvalsh(np.cov(vectors.T)) for vectors in (long, white))
    assert 5 * after[-1] / after[0] < before[-1] / before[0]


@pytest.mark.long
def test_the_whole_on_a_few_pictures(
    in_float32: None, tmp_path: Path, listed: list[Labelled], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ("JPEG 25", "mirror", "all")
    monkeypatch.setattr(vector_quality, "EDITS", {name: edits.EDITS[name] for name in few})
    chosen = listed[:4] + listed[-4:]
    rows = ["file,category"]
    for place, picture in enumerate(chosen):
        shutil.copy(picture.path, tmp_path)
        rows.append(f"{picture.path.name},{'first' if place < 6 else 'last'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    parts = vector_quality.run(Options(folder=tmp_path, pipelines=(DEFAULT_PIPELINE,)))
    recall, precision, summary = (part for part in parts if isinstance(part, Table))
    assert list(recall.headings[1:-1]) == list(few)
    for table in (recall, precision, summary):
        by_name = {row[0]: row[1:] for row in table.rows}
        assert {"pHash", "dHash", "exact", "exact, whitened", DEFAULT_PIPELINE} <= set(by_name)
        assert by_name["exact"] == by_name[DEFAULT_PIPELINE]
    by_name = {row[0]: row for row in recall.rows}
    assert by_name["exact"][1] == "100.0"  # JPEG 25
    assert by_name["flip"][2] == "100.0"  # mirror
    assert {row[0]: row[1] for row in summary.rows}["exact + earlier"] == "1392"
