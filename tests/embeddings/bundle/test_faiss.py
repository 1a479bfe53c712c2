"""A bundle as an index of FAISS: found again by its keys, wherever it was made."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas
import pyarrow.parquet
import pytest

from embeddings import BundleWriter, Recipe, load_bundle
from embeddings.bundle import to_faiss
from embeddings.errors import InputError, OutputError
from harness.installation import ROOT, clean_environment
from tests.embeddings.bundle.bundles import DIMENSION, IDS, METADATA, RECIPE, unit_vectors, written

COUNT = 2500


def key_of(content: str) -> int:
    """The first 63 bits of a SHA-256, in hexadecimal digits."""
    return int(bin(int(content, 16))[2:].zfill(256)[:63], 2)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "pictures.faiss"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "b")


def made(tmp_path: Path, index: Path, ids: list[str], metadata: Any = None) -> int:
    vectors = unit_vectors(len(ids))
    return to_faiss(load_bundle(written(tmp_path / "b", "npy", ids, vectors, metadata)), index)


def test_faiss_finds_what_numpy_finds(tmp_path: Path, index: Path) -> None:
    ids = [f"{number}.jpg" for number in range(COUNT)]
    assert made(tmp_path, index, ids, [{"number": at} for at in range(COUNT)]) == COUNT
    read = faiss.read_index(str(index))
    assert (read.ntotal, read.d, read.metric_type) == (COUNT, DIMENSION, faiss.METRIC_INNER_PRODUCT)
    queries, vectors = unit_vectors(20, seed=1), unit_vectors(COUNT)
    scores, keys = read.search(queries, 5)
    expected = np.argsort(-(queries @ vectors.T), axis=1)[:, :5]
    rows = pandas.read_parquet(f"{index}.ids.parquet").set_index("key")
    for row, places in enumerate(expected):
        assert [rows.loc[key, "id"] for key in keys[row]] == [ids[place] for place in places]
        assert np.allclose(scores[row], vectors[places] @ queries[row], atol=1e-6)
    assert json.loads(rows.loc[keys[0][0], "metadata"]) == {"number": int(expected[0][0])}
    assert np.allclose(read.reconstruct(int(keys[0][0])), vectors[expected[0][0]])


def test_keys_are_of_the_content_and_so_the_same_everywhere(tmp_path: Path, index: Path) -> None:
    contents = [sha("first picture"), None, sha("third picture")]
    rows = [{"sha256": one} if one else row for one, row in zip(contents, METADATA, strict=True)]
    made(tmp_path, index, IDS, rows)
    table = pyarrow.parquet.read_table(f"{index}.ids.parquet")
    digests = [contents[0], sha(IDS[1]), contents[2]]
    assert table["sha256"].to_pylist() == digests
    assert table["key"].to_pylist() == [key_of(str(digest)) for digest in digests]
    assert min(table["key"].to_pylist()) >= 0
    # As made elsewhere, of other pictures around one that is the same.
    again = tmp_path / "again.faiss"
    bundle = written(tmp_path / "c", "csv", ["x"], unit_vectors(1), [{"sha256": contents[0]}])
    load_bundle(bundle).to_faiss(again)
    assert pandas.read_parquet(f"{again}.ids.parquet")["key"][0] == table["key"][0].as_py()


def test_the_same_content_is_there_once_under_all_its_names(tmp_path: Path, index: Path) -> None:
    content = {"sha256": sha("picture")}
    assert made(tmp_path, index, ["a", "b", "c"], [content, {}, content]) == 2
    rows = pandas.read_parquet(f"{index}.ids.parquet")
    assert list(rows[rows["key"] == key_of(content["sha256"])]["id"]) == ["a", "c"]


def test_two_contents_with_one_key_are_refused(tmp_path: Path, index: Path) -> None:
    rows = [{"sha256": "ab" * 8 + digit * 48} for digit in "01"]
    with pytest.raises(InputError, match="same key"):
        made(tmp_path, index, ["a", "b"], rows)
    assert names(tmp_path) == []


@pytest.mark.parametrize("wrong", ["", "ab", "AB" * 32, "zz" * 32, 5, ["ab"]])
def test_a_digest_that_is_none_is_refused(tmp_path: Path, index: Path, wrong: Any) -> None:
    with pytest.raises(InputError, match="of 'a' must be 64 hexadecimal digits"):
        made(tmp_path, index, ["a"], [{"sha256": wrong}])
    assert names(tmp_path) == []


def test_the_files_know_each_other_and_the_recipe(tmp_path: Path, index: Path) -> None:
    made(tmp_path, index, IDS)
    facts = pyarrow.parquet.read_metadata(f"{index}.ids.parquet").metadata
    assert facts[b"fingerprint"].decode() == RECIPE.fingerprint
    assert json.loads(facts[b"recipe"]) == RECIPE.to_dict()
    assert facts[b"index_sha256"].decode() == hashlib.sha256(index.read_bytes()).hexdigest()


def test_an_empty_bundle_is_an_empty_index(tmp_path: Path, index: Path) -> None:
    assert made(tmp_path, index, []) == 0
    assert faiss.read_index(str(index)).ntotal == 0


def test_another_index_makes_way_only_for_a_whole_one(tmp_path: Path, index: Path) -> None:
    made(tmp_path, index, IDS)
    before = index.read_bytes()
    rows = [{"sha256": "ab" * 8 + digit * 48} for digit in "01"]
    broken = load_bundle(written(tmp_path / "b", "npy", ["a", "b"], unit_vectors(2), rows,
                                 overwrite=True))  # fmt: skip
    with pytest.raises(InputError):
        broken.to_faiss(index)
    assert index.read_bytes() == before
    with pytest.raises(OutputError, match="No such file"):
        broken.to_faiss(tmp_path / "none" / "index")


FULL = """
import resource, signal
from embeddings import load_bundle
from embeddings.errors import OutputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))
try:
    load_bundle({bundle!r}).to_faiss({index!r})
except OutputError as error:
    print(error.code)
"""


@pytest.mark.parametrize("most", [100, 100_000])
def test_a_full_disk_leaves_neither_file(tmp_path: Path, index: Path, most: int) -> None:
    """At first there is no room for the ids, then none for the index."""
    wide = Recipe("wide", RECIPE.operators, 1000)
    with BundleWriter(tmp_path / "b", wide) as writer:
        writer.add(list(map(str, range(200))), unit_vectors(200, 1000))
    script = FULL.format(most=most, bundle=str(tmp_path / "b"), index=str(index))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=ROOT, env=clean_environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "cannot_write\n", "")
    assert names(tmp_path) == []
