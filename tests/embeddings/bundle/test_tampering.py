"""Bundles that somebody has changed, or made to harm: each is refused, with a sentence."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings import load_bundle, recipe
from embeddings.bundle import FORMATS
from embeddings.errors import BundleError
from tests.embeddings.bundle.bundles import DIMENSION, IDS, VECTORS, forge, unit_vectors, written
from tests.properties import examples

formats = pytest.mark.parametrize("format", FORMATS)
Change = Callable[[Path], Any]


def refused(folder: Path, *, verify: bool = True) -> BundleError:
    """The error of a bundle that must not be read."""
    with pytest.raises(BundleError) as caught:
        everything(folder, verify)
    return caught.value


def everything(folder: Path, verify: bool) -> Any:
    """All that is in a bundle, also what is read only when it is asked for."""
    read = load_bundle(folder, verify=verify)
    return read.vectors, read.ids, read.metadata


@pytest.fixture(scope="module", params=list(FORMATS))
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of each format, to be copied."""
    return written(tmp_path_factory.mktemp("whole") / "b", request.param)


@settings(max_examples=examples(100))
@given(data=st.data())
def test_any_byte_that_is_changed(whole: Path, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(whole, Path(folder) / "b"))
        path = data.draw(st.sampled_from(sorted(copy.iterdir())))
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        assert refused(copy).code in ("bundle_damaged", "bundle_too_new")


def test_every_byte_of_a_manifest(tmp_path: Path) -> None:
    path = written(tmp_path / "b") / "manifest.json"
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in (1, 32):  # another letter, and one in the other case
            path.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
            assert refused(path.parent, verify=False).code in ("bundle_damaged", "bundle_too_new")


CHANGES: dict[str, Change] = {
    "a file is missing": lambda b: file_of(b).unlink(),
    "a file is shorter": lambda b: file_of(b).write_bytes(file_of(b).read_bytes()[:-1]),
    "a file is longer": lambda b: file_of(b).write_bytes(file_of(b).read_bytes() + b"\n"),
    "a file is empty": lambda b: file_of(b).write_bytes(b""),
    "a file is added": lambda b: (b / "more.npy").write_bytes(b""),
    "a folder is added": lambda b: (b / "more").mkdir(),
    "a hidden file is added": lambda b: (b / ".DS_Store").write_bytes(b""),
    "a link": lambda b: linked(file_of(b)),
    "a link that leads nowhere": lambda b: removed(b).symlink_to("none"),
    "a pipe": lambda b: os.mkfifo(removed(b)),
    "a linked manifest": lambda b: linked(b / "manifest.json"),
    "another order of the manifest": lambda b: rewritten(
        b, lambda manifest: dict(reversed(manifest.items()))
    ),
    "another licence": lambda b: rewritten(
        b, lambda manifest: {**manifest, "models": [{"licence": "x"}]}
    ),
    "another key": lambda b: rewritten(b, lambda manifest: {**manifest, "more": 1}),
}


def file_of(folder: Path) -> Path:
    return next(path for path in sorted(folder.iterdir()) if path.name != "manifest.json")


def removed(folder: Path) -> Path:
    path = file_of(folder)
    path.unlink()
    return path


def linked(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def rewritten(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(change(json.loads(path.read_text())), indent=2) + "\n")


@formats
@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_files_that_are_not_those(
    tmp_path: Path, format: str, change: Change, verify: bool
) -> None:
    change(written(tmp_path / "b", format))
    assert refused(tmp_path / "b", verify=verify).code == "bundle_damaged"


MANIFESTS: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "no object": b"[]",
    "deep JSON": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a number of a million digits": b'{"a": ' + b"1" * 1_000_000 + b"}",
    "another kind of file": b'{"name": "package", "version": 1}',
    "no version": b'{"kind": "embeddings-bundle"}',
    "version true": b'{"kind": "embeddings-bundle", "version": true}',
    "version -1": b'{"kind": "embeddings-bundle", "version": -1}',
    "nothing but a version": b'{"kind": "embeddings-bundle", "version": 1}',
    "not UTF-8": b'{"kind": "\xff"}',
    "too large": b" " * (17 * 2**20) + b"{}",
}


@pytest.mark.parametrize("content", MANIFESTS.values(), ids=MANIFESTS.keys())
def test_manifests_that_are_none(tmp_path: Path, content: bytes) -> None:
    (written(tmp_path / "b") / "manifest.json").write_bytes(content)
    assert refused(tmp_path / "b", verify=False).code == "bundle_damaged"


def test_a_later_version_is_told(tmp_path: Path) -> None:
    text = b'{"kind": "embeddings-bundle", "version": 2, "what": "nobody knows yet"}'
    (written(tmp_path / "b") / "manifest.json").write_bytes(text)
    error = refused(tmp_path / "b")
    assert error.code == "bundle_too_new"
    assert "version 2, and this library reads 1" in error.detail


OTHER = recipe("image-embedding-efficientnet-lite0")
# Manifests with digests that are right, for what is wrong all the same.
FORGED: dict[str, dict[str, Any]] = {
    "has another fingerprint than it says": {"fingerprint": "0" * 64},
    "recipe gives 1280 dimensions": {"recipe": OTHER.to_dict(), "fingerprint": OTHER.fingerprint},
    "recipe cannot be read": {"recipe": {"inputs": ["a"], "outputs": ["b"], "nodes": [[]]}},
    "'recipe'": {"recipe": []},
    "too small for 1000000000000": {"count": 10**12},
    "is not what it must be|rows": {"count": 2},
    "'count'": {"count": -1},
    "'dimension'": {"dimension": 10**30},
    "'dtype'": {"dtype": "object"},
    "'format'": {"format": "npy "},
    "'created'": {"created": 5},
    "'computed'": {"computed": {"runtime": "torch"}},
    "'models'": {"models": {}},
    "names other files": {"files": {"../../etc/passwd": {"bytes": 0, "sha256": "0" * 64}}},
    "'files'": {"files": {"vectors.npy": {"bytes": "1", "sha256": "0" * 64}}},
}


@formats
@pytest.mark.parametrize(("message", "changes"), FORGED.items(), ids=FORGED.keys())
def test_manifests_that_are_wrong(
    tmp_path: Path, format: str, message: str, changes: dict[str, Any]
) -> None:
    folder = written(tmp_path / "b", format)
    if "format" in changes:  # which no digests can be made for
        rewritten(folder, lambda manifest: manifest | changes)
    else:
        forge(folder, **changes)
    error = refused(folder)
    assert error.code == "bundle_damaged"
    assert re.search(message, error.detail)


def npy(array: Any, **options: Any) -> Change:
    return lambda b: np.save(b / "vectors.npy", array, **options)


def rows(table: Any, **options: Any) -> Change:
    """Another Parquet file, as plain as a bundle's unless `options` say otherwise."""
    plain = {"compression": "none", "use_dictionary": False, **options}
    return lambda b: pyarrow.parquet.write_table(table, b / "rows.parquet", **plain)


def texts(ids: list[Any], metadata: list[Any] | None = None) -> Any:
    fields = [pa.field(name, pa.string(), nullable=False) for name in ("id", "metadata")]
    columns = [pa.array(ids, pa.string()), pa.array(metadata or ["{}"] * len(ids), pa.string())]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def hdf5(change: Callable[[Any], Any]) -> Change:
    def made(folder: Path) -> None:
        with h5py.File(folder / "rows.h5", "r+") as file:
            change(file)

    return made


def replaced(file: Any, name: str, **options: Any) -> None:
    old = file[name]
    data, dtype = old[:], old.dtype
    del file[name]
    file.create_dataset(name, **{"data": data, "dtype": dtype, **options})


def linked_outside(file: Any) -> None:
    del file["vectors"]
    file["vectors"] = h5py.ExternalLink("/etc/other.h5", "/vectors")


def stored_outside(file: Any) -> None:
    del file["vectors"]
    file.create_dataset(
        "vectors", (3, DIMENSION), "<f4", external=[("/etc/passwd", 0, 12 * DIMENSION)]
    )


def virtual(file: Any) -> None:
    del file["vectors"]
    layout = h5py.VirtualLayout((3, DIMENSION), "<f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "vectors", (3, DIMENSION))
    file.create_virtual_dataset("vectors", layout)


def text(name: str, change: Callable[[str], str]) -> Change:
    def made(folder: Path) -> None:
        path = folder / name
        path.write_bytes(change(path.read_bytes().decode()).encode())

    return made


def lines(change: Callable[[list[str]], list[str]]) -> Change:
    return text("rows.jsonl", lambda all_of_it: "".join(change(all_of_it.splitlines(True))))


NAN = VECTORS.copy()
NAN[1, 3] = np.nan
# Files that their manifests vouch for, and that are not what a bundle may hold.
FILES: list[tuple[str, str, Change]] = [
    ("npy", "float64", npy(VECTORS.astype(np.float64))),
    ("npy", "shape", npy(VECTORS[:2])),
    ("npy", "holds", npy(np.asfortranarray(VECTORS))),
    ("npy", "object", npy(np.array([[{}] * DIMENSION] * 3), allow_pickle=True)),
    ("npy", "does not hold", lambda b: shortened(b / "vectors.npy")),
    ("npy", "magic", lambda b: (b / "vectors.npy").write_bytes(b"PK" + bytes(300))),
    ("npy", "unit length", npy(NAN)),
    ("npy", "unit length", npy(VECTORS * np.float32(2))),
    ("npy", "there twice", rows(texts(["a", "b", "a"]))),
    ("npy", "not empty", rows(texts(["a", "b", ""]))),
    ("npy", "2 rows and not 3", rows(texts(["a", "b"]))),
    ("npy", "object", rows(texts(IDS, ["{}", "[]", "{}"]))),
    ("npy", "read", rows(texts(IDS, ["{}", "{", "{}"]))),
    ("npy", "no JSON", rows(texts(IDS, ["{}", '{"a": NaN}', "{}"]))),
    ("npy", "read", rows(texts(IDS, ["{}", '{"a":' * 100_000 + "1" + "}" * 100_000, "{}"]))),
    ("npy", "compressed", rows(texts(["a" * 10**6] * 3), compression="zstd")),
    ("npy", "encoded", rows(texts(["a" * 10**6] * 3), use_dictionary=True)),
    ("npy", "columns", rows(texts(IDS).append_column("more", pa.array([1, 2, 3])))),
    ("npy", "read", lambda b: (b / "rows.parquet").write_bytes(b"PAR1" + bytes(500) + b"PAR1")),
    ("parquet", "columns", rows(texts(IDS))),
    ("hdf5", "link", hdf5(linked_outside)),
    ("hdf5", "lies elsewhere", hdf5(stored_outside)),
    ("hdf5", "lies elsewhere", hdf5(virtual)),
    ("hdf5", "filtered", hdf5(lambda file: replaced(file, "vectors", compression="gzip"))),
    ("hdf5", "float64", hdf5(lambda file: replaced(file, "vectors", dtype="<f8"))),
    ("hdf5", "shape", hdf5(lambda file: replaced(file, "vectors", data=VECTORS[:2]))),
    ("hdf5", "more than it holds", hdf5(lambda file: empty(file))),
    ("hdf5", "no text", hdf5(lambda file: replaced(file, "ids", data=[1, 2, 3], dtype="<i8"))),
    ("hdf5", "holds", hdf5(lambda file: file.create_group("more"))),
    ("hdf5", "shape", hdf5(lambda file: (file.pop("ids"), file.create_group("ids")))),
    ("hdf5", "unit length", hdf5(lambda file: file["vectors"].write_direct(NAN))),
    ("hdf5", "read", lambda b: (b / "rows.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(800))),
    ("csv", "rows", text("rows.csv", lambda rows: rows[: rows.rindex("dritte")])),
    ("csv", "rows", text("rows.csv", lambda rows: rows + rows[rows.index("erse") :])),
    ("csv", "8 numbers", text("rows.csv", lambda rows: rows.replace("[-", "[0,-"))),
    ("csv", "no list", text("rows.csv", lambda rows: rows.replace("]", ")"))),
    ("csv", "read", text("rows.csv", lambda rows: rows.replace("0.", "zero."))),
    ("csv", "read", text("rows.csv", lambda rows: rows.replace("id,", "name,", 1))),
    ("csv", "unit length", text("rows.csv", lambda rows: rows.replace('"[', '"[9', 1))),
    ("jsonl", "rows", lines(lambda all_of_them: all_of_them[:2])),
    ("jsonl", "there twice", lines(lambda all_of_them: [*all_of_them[:2], all_of_them[0]])),
    ("jsonl", "none that a bundle has", lines(lambda all_of_them: [*all_of_them[:2], "{}\n"])),
    ("jsonl", "is no text", text("rows.jsonl", lambda rows: rows.replace('"erse.jpg"', "5"))),
    ("jsonl", "read", text("rows.jsonl", lambda rows: rows.replace('"erse.jpg"', '"\\ud800"'))),
]


def shortened(path: Path) -> None:
    """A header that claims more than the file holds."""
    path.write_bytes(path.read_bytes()[:-4])


def empty(file: Any) -> None:
    """A dataset that claims rows and holds none."""
    del file["vectors"]
    file.create_dataset("vectors", (3, DIMENSION), "<f4", chunks=(1, DIMENSION))


@pytest.mark.parametrize(("format", "message", "change"), FILES)
def test_files_that_lie(tmp_path: Path, format: str, message: str, change: Change) -> None:
    """Anyone can write a manifest that fits altered files, so the contents are checked as well."""
    folder = written(tmp_path / "b", format)
    change(folder)
    forge(folder)
    error = refused(folder)
    assert error.code == "bundle_damaged"
    assert re.search(message, error.detail)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "harm"),)

    folder = written(tmp_path / "b")
    np.save(folder / "vectors.npy", np.array([[Harm()] * DIMENSION] * 3), allow_pickle=True)
    forge(folder)
    for verify in (True, False):
        refused(folder, verify=verify)
    assert not (tmp_path / "harm").exists()


@formats
def test_what_changes_after_it_was_loaded(tmp_path: Path, format: str) -> None:
    """Rows are read when they are asked for, and may be others by then."""
    folder = written(tmp_path / "b", format, list("abc"), unit_vectors(3), None)
    read = load_bundle(folder, verify=False)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(BundleError, match="cannot be read") as caught:
        _ = read.ids
    assert caught.value.code == "bundle_damaged"
