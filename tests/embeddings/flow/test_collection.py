"""Collections: what each method gives, how little is read, what becomes of rows that fail."""

from __future__ import annotations

import copy
import gc
import itertools
import pickle
import weakref
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embeddings import DataCollection, Pipeline, ops
from embeddings.errors import (
    ImageError,
    InputError,
    RecipeError,
    UnknownName,
    UnknownOperator,
)
from embeddings.flow.collection.empty import Empty
from embeddings.pipelines import ImagePipeline
from tests.embeddings.flow.chains import until_failure
from tests.embeddings.pictures import encode, scene


class Counted:
    """Numbers from 0 on, that know how many were asked for."""

    def __init__(self, end: int = 10**9) -> None:
        self.end = end
        self.asked = 0

    def __iter__(self) -> Iterator[int]:
        for number in range(self.end):
            self.asked += 1
            yield number


def note(seen: list[Any]) -> Callable[[Any], Any]:
    """What gives back what it is given, and remembers it."""

    def noted(value: Any) -> Any:
        seen.append(value)
        return value

    return noted


def prime(number: int) -> bool:
    return number > 1 and all(number % part for part in range(2, int(number**0.5) + 1))


# What the steps give.


def test_primes_that_end_in_three() -> None:
    primes = (
        DataCollection.range(100).filter(prime).filter(lambda x: x % 10 == 3).map(str).to_list()
    )
    assert primes == ["3", "13", "23", "43", "53", "73", "83"]


def test_steps_over_several_rows() -> None:
    seven = DataCollection.range(7)
    assert seven.batch(3).to_list() == [[0, 1, 2], [3, 4, 5], [6]]
    assert seven.batch(3, drop_tail=True).to_list() == [[0, 1, 2], [3, 4, 5]]
    assert seven.window(3, 2).to_list() == [[0, 1, 2], [2, 3, 4], [4, 5, 6], [6]]
    assert seven.window(2, 3).to_list() == [[0, 1], [3, 4], [6]]
    assert seven.head(2).to_list() == [0, 1]
    assert seven.head(0).to_list() == []
    assert seven.zip("abc", seven).to_list() == [(0, "a", 0), (1, "b", 1), (2, "c", 2)]
    assert seven.head(1).concat("ab", seven.head(2)).to_list() == [0, "a", "b", 0, 1]
    assert seven.group_by(lambda x: x % 3).to_list() == [(0, [0, 3, 6]), (1, [1, 4]), (2, [2, 5])]
    assert seven.flat_map(lambda x: [x] * x).head(4).to_list() == [1, 2, 2, 3]
    assert seven.count() == 7
    assert seven.first() == 0
    with pytest.raises(InputError, match="the collection is empty"):
        DataCollection([]).first()


def test_windows_are_those_of_a_graph_pipeline() -> None:
    for size, step, count in itertools.product(range(1, 4), range(1, 5), range(6)):
        graph = (
            Pipeline.input("n")
            .flat_map("n", "x", range)
            .window("x", "w", size, step, lambda rows: list(rows))
            .output("w")
        )
        assert DataCollection.range(count).window(size, step).to_list() == graph(count)


def test_samples_and_shuffles_repeat_with_their_seed() -> None:
    many = DataCollection.range(1000)
    for sample in (many.sample(50, 3), many.sample(0.1, 3), many.sample(ratio=0.1, seed=3)):
        rows = sample.to_list()
        assert rows == sample.to_list() == sorted(set(rows))
        assert 40 <= len(rows) <= 160
    assert len(many.sample(50, 3).to_list()) == 50
    assert many.sample(50, 4).to_list() != many.sample(50, 3).to_list()
    assert DataCollection.range(3).sample(5).to_list() == [0, 1, 2]
    mixed = many.shuffle(7).to_list()
    assert mixed == many.shuffle(7).to_list() != many.shuffle(8).to_list()
    assert mixed != sorted(mixed) == list(range(1000))
    near = many.shuffle(7, buffer=10).to_list()
    assert sorted(near) == list(range(1000)) != near
    assert all(row <= place + 10 for place, row in enumerate(near))


def test_a_sample_is_even() -> None:
    drawn = [0] * 20
    for seed in range(400):
        for row in DataCollection.range(20).sample(5, seed):
            drawn[row] += 1
    assert all(60 <= count <= 140 for count in drawn)  # 100 each, on average


@pytest.mark.parametrize(
    "wrong",
    [
        lambda dc: dc.batch(0),
        lambda dc: dc.batch(True),
        lambda dc: dc.window(2, 0),
        lambda dc: dc.head(-1),
        lambda dc: dc.head(2.0),
        lambda dc: dc.sample(),
        lambda dc: dc.sample(3, ratio=0.5),
        lambda dc: dc.sample(1.5),
        lambda dc: dc.shuffle("seed"),
        lambda dc: dc.shuffle(buffer=0),
        lambda dc: dc.group_by(3),
        lambda dc: dc.zip(3),
        lambda dc: dc.concat(None),
        lambda dc: dc.select_from({"a": 1}),
        lambda dc: dc.select_from(3),
        lambda dc: dc.select_from("abc"),
        lambda dc: dc.drop_empty("no function"),
        lambda dc: dc.set_parallel(0),
        lambda dc: dc.set_engine("local", workers=0),
        lambda dc: dc.search_vectors([[1.0]], top_k=0),
        lambda dc: dc.show(-1),
        lambda dc: dc.image_decode.pillow["path"],
        lambda dc: type(dc)(3),
        lambda dc: dc.from_list(iter([])),
        lambda dc: dc.range("a"),
        lambda dc: DataCollection.from_csv("no-such.csv"),
        lambda dc: DataCollection.from_parquet("no-such.parquet"),
        lambda dc: DataCollection.from_zip("no-such.zip"),
        lambda dc: DataCollection.from_glob(),
    ],
)
def test_wrong_arguments_fail_where_they_are_written(wrong: Any) -> None:
    with pytest.raises(InputError) as raised:
        wrong(DataCollection.range(3))
    assert str(raised.value).endswith((".", ")", "'"))


def test_wrong_names_and_nodes_fail_where_they_are_written() -> None:
    dc = DataCollection.range(3)
    for name, near in (("mapp", "map"), ("image_decod", "image_decode"), ("to_lst", "to_list")):
        assert not hasattr(dc, name)
        with pytest.raises(UnknownOperator, match=f"'{near}'"):
            getattr(dc, name)
    with pytest.raises(UnknownOperator, match="'pillow'"):
        _ = dc.image_decode.pilow
    for wrong in (3, ops.image_decode.pillow, ops.image_decode):
        with pytest.raises(RecipeError):
            dc.map(wrong)
    with pytest.raises(RecipeError, match="no output yet"):
        dc.map(Pipeline.input("x").map("x", "y", str))
    with pytest.raises(RecipeError, match="takes 1 columns"):
        dc.map(Pipeline.input("x").map("x", "y", str).output("y"), ("a", "b"))
    with pytest.raises(UnknownName, match="'local'"):
        dc.set_engine("locl")
    with pytest.raises(UnknownName, match="'workers'"):
        dc.set_engine("local", worker=2)
    with pytest.raises(UnknownName, match="'cosine'"):
        dc.search_vectors([[1.0]], metric="cosin")
    assert {"map", "to_list", "image_decode", "normalize"} <= set(dir(dc))
    assert "pillow" in dir(dc.image_decode)


def test_it_says_what_it_is() -> None:
    dc = DataCollection.range(3).map(str).head(2)
    assert repr(dc) == "<DataCollection range(0, 3) → map str → head 2>"
    assert "pillow" in repr(dc.image_decode)
    assert "image_decode.pillow" in repr(dc.image_decode.pillow)


# How little is read.


def test_nothing_happens_until_rows_are_asked_for() -> None:
    source = Counted()
    dc = DataCollection(source).map(str).filter(bool).batch(2).head(3)
    assert source.asked == 0
    rows = iter(dc)
    assert source.asked == 0
    assert next(rows) == ["0", "1"]
    assert source.asked == 2
    assert list(rows) == [["2", "3"], ["4", "5"]]
    assert source.asked == 6


def test_a_collection_is_never_changed_and_can_be_read_again() -> None:
    base = DataCollection.range(4)
    mapped = base.map(lambda x: x + 1)
    other = mapped.filter(lambda x: x % 2)
    assert (base.to_list(), mapped.to_list(), other.to_list()) == (
        [0, 1, 2, 3],
        [1, 2, 3, 4],
        [1, 3],
    )
    assert mapped.to_list() == copy.copy(mapped).to_list() == [1, 2, 3, 4]
    assert DataCollection(mapped).to_list() == [1, 2, 3, 4]


def test_an_iterator_is_read_once_and_says_so() -> None:
    dc = DataCollection(iter([1, 2, 3])).map(str)
    assert dc.first() == "1"
    with pytest.raises(InputError, match="can be read only once"):
        dc.to_list()
    numbers = iter([1, 2, 3])
    zipped = DataCollection("ab").zip(numbers)
    assert zipped.to_list() == [("a", 1), ("b", 2)]
    with pytest.raises(InputError, match="can be read only once"):
        zipped.to_list()
    assert next(numbers) == 3  # what is left is the caller's


def test_an_endless_flat_map_gives_what_is_asked_for() -> None:
    source = Counted()
    dc = DataCollection(source).flat_map(itertools.count).map(str)
    assert dc.head(3).to_list() == ["0", "1", "2"]
    assert source.asked == 1


def test_nodes_with_batches_read_a_little_ahead() -> None:
    source, sizes = Counted(), []

    class Node:
        def __call__(self, value: int) -> int:
            raise AssertionError

        def batch(self, values: list[int]) -> list[int]:
            sizes.append(len(values))
            return values

    rows = iter(DataCollection(source).map(Node()))
    assert next(rows) == 0
    assert source.asked == 1
    assert list(itertools.islice(rows, 100)) == list(range(1, 101))
    assert sizes[:4] == [1, 2, 4, 8]
    assert max(sizes) <= 32
    assert source.asked <= 140


def test_rows_are_not_kept() -> None:
    class Row:
        pass

    alive: list[weakref.ref[Row]] = []

    def make(_: int) -> Row:
        row = Row()
        alive.append(weakref.ref(row))
        return row

    gc.collect()
    gc.freeze()  # what was there before is not looked through fifty times
    try:
        for _ in DataCollection.range(50).map(make).filter(bool):
            gc.collect()
            assert sum(one() is not None for one in alive) <= 2
    finally:
        gc.unfreeze()


# Columns.


def test_columns_are_read_and_written_as_in_a_graph_pipeline() -> None:
    rows = [{"a": 7, "b": 2}]
    dc = DataCollection(rows)
    assert dc.map(divmod, ("a", "b"), ("q", "r")).to_list() == [{"a": 7, "b": 2, "q": 3, "r": 1}]
    assert dc.map(str, "a", "a").to_list() == [{"a": "7", "b": 2}]
    assert dc.map(str, "a").to_list() == ["7"]
    assert dc.map(len, outputs="n").to_list() == [{"a": 7, "b": 2, "n": 2}]
    assert dc.filter(lambda a, b: a > b, ("a", "b")).to_list() == rows
    assert dc.flat_map(range, "b", "i").to_list() == [
        {"a": 7, "b": 2, "i": 0},
        {"a": 7, "b": 2, "i": 1},
    ]
    assert DataCollection("x").map(str.upper, outputs="big").to_list() == [{"big": "X"}]
    assert rows == [{"a": 7, "b": 2}]
    assert dc.group_by("a").to_list() == [(7, rows)]
    graph = Pipeline.input("a", "b").map(("a", "b"), "c", lambda a, b: a - b).output("c")
    assert dc.map(graph, ("a", "b"), "c").to_list() == [{"a": 7, "b": 2, "c": 5}]


@pytest.mark.parametrize(
    ("step", "kind", "message"),
    [
        (lambda dc: dc.map(str, "aa"), UnknownName, "'a'"),
        (lambda dc: dc.map(str).map(str, "a"), InputError, "rows that are dicts; this row is str"),
        (lambda dc: dc.map(lambda a: (a,), "a", ("x", "y")), InputError, "2 values.*not 1 values"),
        (lambda dc: dc.map(str, "a", ("x", "y")), InputError, "2 values.*not str"),
        (lambda dc: dc.group_by("aa"), UnknownName, "'a'"),
        (lambda dc: dc.group_by(lambda row: [1]), InputError, "must be hashable.*is list"),
        (lambda dc: dc.flat_map(len), TypeError, "not iterable"),
        (lambda dc: dc.map(lambda row: 5).select_from([1]), InputError, "no row 5: there are 1"),
        (lambda dc: dc.map(lambda row: -1).select_from([1]), InputError, "no row -1"),
        (lambda dc: dc.map(lambda row: 0.5).select_from([1]), InputError, "whole numbers from 0"),
        (lambda dc: dc.map(lambda row: next(iter([]))), RuntimeError, "raised StopIteration"),
    ],
)
def test_rows_that_do_not_fit_fail_in_words(step: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        step(DataCollection([{"a": 1}])).to_list()


# Rows that fail.


def test_the_first_failure_ends_the_rows_and_names_step_and_input() -> None:
    results, error = until_failure(
        DataCollection.range(9).map(lambda x: x - 3).map(lambda x: 6 // x)
    )
    assert results == [-2, -3, -6]
    assert isinstance(error, ZeroDivisionError)
    (message,) = error.__notes__
    assert message.startswith("in step 2, map ")
    assert message.endswith("for 0, which came of 3")


def test_results_before_a_failure_come_out_of_batches_too() -> None:
    class Node:
        def __call__(self, value: int) -> float:
            return 1 / (value - 5)

        def batch(self, values: list[int]) -> list[float]:
            return [self(value) for value in values]

    results, error = until_failure(DataCollection.range(20).map(Node()))
    assert len(results) == 3  # the chunks 0 and 1, 2; the third fails as one
    assert isinstance(error, ZeroDivisionError)
    assert "in a batch of 4 rows" in error.__notes__[0]


def test_safe_rows_go_past_all_later_steps() -> None:
    called: list[Any] = []
    dc = (
        DataCollection([4, 0, 2])
        .safe()
        .map(lambda x: 8 / x)
        .map(note(called))
        .filter(lambda x: x > 3)
        .flat_map(lambda x: [x, x])
    )
    (empty,) = dc.exceptions().to_list()
    assert type(empty) is Empty
    assert empty.input == 0
    assert isinstance(empty.exception, ZeroDivisionError)
    assert empty.step.startswith("step 1, map ")
    assert "ZeroDivisionError" in repr(empty)
    assert called == [2.0, 4.0]
    assert dc.drop_empty().to_list() == [4.0, 4.0]
    assert dc.fill_empty(-1).to_list() == [-1, 4.0, 4.0]
    empties: list[Empty] = []
    assert dc.drop_empty(empties.append).to_list() == [4.0, 4.0]
    assert [one.input for one in empties] == [0]
    # Around what takes several rows.
    for collected in (dc.batch(2), dc.window(2, 2)):
        assert collected.map(lambda row: row).drop_empty().to_list() == [[4.0, 4.0]]
        assert len(collected.exceptions().to_list()) == 1
    assert dc.group_by(lambda x: x).drop_empty().to_list() == [(4.0, [4.0, 4.0])]
    assert [type(row) for row in dc.zip("abc")] == [Empty, tuple, tuple]
    assert dc.count() == 3
    with pytest.raises(InputError, match="Row 1 has failed"):
        dc.to_numpy()


def test_what_fails_before_safe_raises_and_a_callback_that_fails_too() -> None:
    def refuse(empty: Empty) -> None:
        raise KeyError(empty.input)

    with pytest.raises(ZeroDivisionError):
        DataCollection([0]).map(lambda x: 1 / x).safe().map(str).to_list()
    with pytest.raises(KeyError):
        DataCollection([0]).safe().map(lambda x: 1 / x).drop_empty(refuse).to_list()


@pytest.mark.parametrize("parallel", [False, True])
def test_a_batch_that_fails_makes_only_its_rows_empty(parallel: bool) -> None:
    vectors = [np.ones(3), np.ones(3), np.full(3, np.nan), np.ones(3)]
    dc = DataCollection(vectors).safe().normalize.l2()
    dc = dc.set_parallel(2) if parallel else dc
    assert [type(row) is Empty for row in dc] == [False, False, True, False]
    (empty,) = dc.exceptions()
    assert np.isnan(empty.input).all()
    assert "normalize.l2" in empty.step


def test_a_failed_row_keeps_nothing_but_its_input() -> None:
    class Large:
        pass

    references: list[weakref.ref[Large]] = []

    def fail(number: int) -> None:
        large = Large()
        references.append(weakref.ref(large))
        raise ValueError(number)

    empties = DataCollection.range(5).safe().map(fail).to_list()
    gc.collect()
    assert [empty.input for empty in empties] == [0, 1, 2, 3, 4]
    assert all(one() is None for one in references)


def test_an_empty_can_be_pickled() -> None:
    (empty,) = DataCollection([0]).safe().map(lambda x: 1 / x)
    again = pickle.loads(pickle.dumps(empty))
    assert (again.input, str(again.exception), again.step) == (0, "division by zero", empty.step)
    assert again.exception.__notes__ == empty.exception.__notes__


def test_an_error_of_the_source_comes_behind_the_rows_before() -> None:
    def broken() -> Iterator[int]:
        yield from range(6)
        raise OSError("disk")

    for node in (str, ops.normalize.power()):
        dc = DataCollection(broken()).map(lambda x: np.full(2, x, np.float32)).map(node)
        results, error = until_failure(dc)
        assert len(results) == 6
        assert isinstance(error, OSError)


# Operators, pipelines, search.


def test_operators_are_methods(demo: list[Path], exact: ImagePipeline) -> None:
    paths = DataCollection.from_list(demo[:5])
    vectors = (
        paths.image_decode.pillow()
        .image_embedding.timm(model_name="efficientnet-lite0", runtime="torch")
        .normalize.l2()
        .to_numpy()
    )
    assert np.abs(vectors - exact(demo[:5])).max() <= 1e-5
    rows = (
        paths.map(str, outputs="path")
        .image_decode.pillow["path", "image"]()
        .image_embedding.timm["image", "vector"]("efficientnet-lite0", runtime="torch")
        .to_list()
    )
    assert [sorted(row) for row in rows] == [["image", "path", "vector"]] * 5
    fetched: list[str] = []

    def fetch(url: str) -> bytes:
        fetched.append(url)
        return demo[0].read_bytes()

    picture = DataCollection(["https://example.org/a"]).image_decode.url(fetch=fetch).first()
    assert fetched == ["https://example.org/a"]
    assert picture.mode == "RGB"


@pytest.mark.parametrize("models", [{}, {"model": "a", "model_name": "b"}])
def test_a_model_has_one_name(models: dict[str, str]) -> None:
    with pytest.raises(RecipeError, match="not both"):
        DataCollection([]).image_embedding.timm(**models)


def test_a_pipeline_is_a_node_and_its_failures_are_rows(
    demo: list[Path], exact: ImagePipeline
) -> None:
    pictures: list[Any] = [demo[0], b"%PDF-1.7", demo[1].read_bytes(), demo[2]]
    good = exact([demo[0], demo[1], demo[2]])
    dc = DataCollection(pictures)
    safe = dc.safe().map(exact)
    assert np.abs(safe.drop_empty().to_numpy() - good).max() <= 1e-5
    assert [empty.input for empty in safe.exceptions()] == [b"%PDF-1.7"]
    results, error = until_failure(dc.map(exact))
    assert len(results) == 1
    assert isinstance(error, ImageError)
    assert error.__notes__[0].endswith("for 8 bytes")
    graph = Pipeline.input("path").map("path", "vector", exact).output("path", "vector")
    rows = dc.safe().map(graph).to_list()
    assert [type(row) is Empty for row in rows] == [False, True, False, False]
    assert rows[0][0] == demo[0]
    (together,) = DataCollection(demo[:3]).batch(3).map(exact).to_list()
    assert np.abs(together - good).max() <= 1e-5
    with pytest.raises(RecipeError, match="can only `map` one column to one"):
        dc.filter(exact)


def test_a_pipeline_takes_every_kind_of_picture(exact: ImagePipeline) -> None:
    picture = scene(300, 260)
    data = encode(picture, "png")
    kinds: list[Any] = [data, picture, np.asarray(picture)]
    assert np.ptp(DataCollection(kinds).map(exact).to_numpy(), axis=0).max() <= 1e-5


def test_a_pipeline_travels_as_its_recipe(exact: ImagePipeline) -> None:
    data = pickle.dumps(exact)
    again = pickle.loads(data)
    assert (again.fingerprint, again.runtime) == (exact.fingerprint, exact.runtime)
    assert pickle.loads(data) is again
    assert len(data) < 10_000


def test_reverse_search_over_two_folders(demo: list[Path], exact: ImagePipeline) -> None:
    folder = demo[0].parent
    gallery = DataCollection.from_glob(folder / "erase-*.jpg")
    paths = gallery.to_list()
    results = (
        DataCollection.from_glob(folder / "erase-[cg]*.jpg")
        .map(exact)
        .search_vectors(gallery.map(exact), top_k=3)
        .map(lambda hits: hits.ids)
        .select_from(gallery)
        .to_list()
    )
    assert all(len(hits) == 3 for hits in results)
    queries = DataCollection.from_glob(folder / "erase-[cg]*.jpg").to_list()
    assert [hits[0] for hits in results] == queries
    assert {path for hits in results for path in hits} <= set(paths)


def test_what_is_searched_and_selected_from_is_read_once_and_late() -> None:
    read: list[Any] = []
    vectors = DataCollection.range(3).map(lambda x: np.eye(3)[note(read)(x)])
    dc = DataCollection(np.eye(3)).search_vectors(vectors, top_k=1).map(lambda hits: hits.ids[0])
    assert read == []
    assert dc.to_list() == dc.to_list() == [0, 1, 2]
    assert read == [0, 1, 2]
    names = DataCollection("abc").map(note(read))
    chosen = DataCollection([2, [0, 1], np.array([1]), np.int64(0)]).select_from(names)
    assert chosen.to_list() == chosen.to_list() == ["c", ["a", "b"], ["b"], "a"]
    assert read == [0, 1, 2, *"abc"]
    hits = DataCollection(np.eye(2)).search_vectors(np.eye(2), "l2", 1, ids=["a", "b"])
    assert [list(one) for one in hits] == [[("a", 0.0)], [("b", 0.0)]]


def test_a_gallery_that_fails_is_no_rows_failure() -> None:
    bad = DataCollection([1, 0]).map(lambda x: [1 / x])
    for dc in (
        DataCollection(np.eye(1)).safe().search_vectors(bad),
        DataCollection([0]).safe().select_from(bad),
    ):
        for engine in (dc, dc.set_parallel(2)):
            with pytest.raises(ZeroDivisionError) as raised:
                engine.to_list()
            assert "looks things up in" in raised.value.__notes__[-1]


# Sources, sinks, and what is shown.


def test_from_files_to_files(tmp_path: Path) -> None:
    table = tmp_path / "in.csv"
    table.write_text("name,size\na,1\nb,2\n")
    rows = DataCollection.from_csv(table).map(int, "size", "size")
    assert rows.to_list() == [{"name": "a", "size": 1}, {"name": "b", "size": 2}]
    with_vectors = rows.map(lambda size: np.full(2, size, np.float32), "size", "vector")
    assert with_vectors.to_parquet(tmp_path / "out.parquet") == 2
    again = DataCollection.from_parquet(tmp_path / "out.parquet", ["vector"])
    assert np.array_equal(again.map(lambda v: v, "vector").to_numpy(), [[1, 1], [2, 2]])
    assert rows.to_csv(tmp_path / "out.csv") == 2
    assert (tmp_path / "out.csv").read_text().splitlines() == table.read_text().splitlines()
    assert again.count() == again.count() == 2


def test_a_file_is_not_written_where_a_row_fails(tmp_path: Path) -> None:
    dc = DataCollection([1, 0]).map(lambda x: 1 / x)
    for write in (dc.to_csv, dc.to_parquet):
        with pytest.raises(ZeroDivisionError):
            write(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("parallel", [False, True])
def test_members_of_an_archive(tmp_path: Path, parallel: bool) -> None:
    archive = tmp_path / "pictures.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("a.png", "b.txt", "c.png", "d.png"):
            file.writestr(name, encode(scene(), "png"))
    data = bytearray(archive.read_bytes())
    at = data.index(b"c.png") + len("c.png") + 40
    data[at] ^= 0xFF  # in what c.png holds
    archive.write_bytes(data)
    dc = DataCollection.from_zip(archive, "*.png")
    dc = dc.set_parallel(2) if parallel else dc
    with pytest.raises(InputError, match=r"c\.png") as raised:
        dc.to_list()
    assert raised.value.__notes__[0].startswith("in step 1, read")
    rows = dc.safe().to_list()
    assert [type(row) is Empty for row in rows] == [False, True, False]
    assert [row.name for row in rows if type(row) is not Empty] == ["a.png", "d.png"]
    assert (
        dc.safe().drop_empty().image_decode.pillow().map(lambda one: one.size).to_list()
        == [(64, 48)] * 2
    )


class MilvusClient:
    """The one call that inserting makes."""

    def __init__(self) -> None:
        self.inserted: list[list[dict[str, Any]]] = []

    def insert(self, collection_name: str, data: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        assert collection_name == "things"
        self.inserted.append(data)
        return {"insert_count": len(data)}


def test_rows_go_into_milvus_in_batches() -> None:
    client = MilvusClient()
    rows = DataCollection.range(5).map(lambda x: {"id": x, "vector": np.full(2, x, np.float32)})
    assert rows.to_milvus((client, "things"), batch_size=2) == 5
    assert [[row["id"] for row in part] for part in client.inserted] == [[0, 1], [2, 3], [4]]


def test_show_in_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    source = Counted()
    DataCollection(source).map(lambda x: {"number": x, "word": "x" * x}).show(3)
    output = capsys.readouterr().out
    assert "number" in output
    assert "xx" in output
    assert "xxx" not in output
    assert source.asked == 4


def test_show_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    import IPython
    from IPython import display

    class Shell:
        kernel = object()

    shown: list[Any] = []
    monkeypatch.setattr(IPython, "get_ipython", Shell)
    monkeypatch.setattr(display, "display", shown.append)
    DataCollection([scene()]).show()
    assert "<img" in shown[0]._repr_html_()


def test_progress_is_told_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    assert DataCollection.range(7).map(str).progress("rows read").head(5).count() == 5
    out, err = capfd.readouterr()
    assert out == ""
    assert "rows read" in err
    assert "/7" in err
    assert DataCollection.range(7).filter(bool).progress().count() == 6
    assert "/7" not in capfd.readouterr().err


# What strangers found.


class Tripled:
    """A node that only takes many rows at once."""

    def batch(self, values: list[int]) -> list[int]:
        return [3 * value for value in values]


def test_a_node_may_have_batches_alone() -> None:
    assert DataCollection([1, 2]).map(Tripled()).to_list() == [3, 6]


def test_hits_select_rows() -> None:
    gallery = DataCollection(["left", "right"])
    vectors = [[1.0, 0.0], [0.0, 1.0]]
    results = DataCollection([[0.1, 0.9]]).search_vectors(vectors, top_k=2).select_from(gallery)
    assert results.to_list() == [["right", "left"]]
    named = DataCollection([[0.1, 0.9]]).search_vectors(vectors, top_k=1, ids=["l", "r"])
    assert named.map(lambda hits: hits.ids).to_list() == [("r",)]
    for wrong in (None, "abc", {"a": 1}):
        with pytest.raises(InputError, match="Vectors are searched in"):
            DataCollection([]).search_vectors(wrong)


def test_without_a_seed_every_reading_gives_the_same_rows() -> None:
    rows = DataCollection.range(1000)
    for drawn in (rows.shuffle(), rows.sample(20), rows.sample(ratio=0.1)):
        assert drawn.to_list() == drawn.to_list()
    assert rows.shuffle().to_list() != rows.shuffle().to_list()


def test_numbers_of_numpy_are_numbers() -> None:
    rows: Any = DataCollection.range(9)
    assert rows.head(np.int64(2)).to_list() == [0, 1]
    assert rows.shuffle(np.int64(5)).to_list() == rows.shuffle(5).to_list()
    assert rows.sample(ratio=np.float32(1)).count() == 9


def test_an_exception_that_is_raised_again_names_the_first_row() -> None:
    shared = ValueError("shared")

    def fails(_value: int) -> None:
        raise shared

    failed = DataCollection.range(300).safe().map(fails).to_list()
    assert [one.input for one in failed] == list(range(300))
    assert [note.rpartition("for ")[2] for note in shared.__notes__] == ["0"]


def test_an_exception_that_cannot_be_told() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        def add_note(self, note: str) -> None:
            raise RuntimeError

    def fails(_value: int) -> None:
        raise Mute

    rows = DataCollection([1]).safe().map(fails)
    assert "Mute in step 1" in repr(rows.first())
    with pytest.raises(InputError, match="Row 1 has failed: Mute"):
        rows.to_numpy()
