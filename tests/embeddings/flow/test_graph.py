"""Graph pipelines at work: rows, branches, chunks, threads, errors."""

import gc
import itertools
import pickle
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embeddings import Pipeline, ops, recipe
from embeddings.errors import ImageError, InputError, RecipeError, UnknownName
from embeddings.operators.bound import BoundOperator
from embeddings.pipelines import ImagePipeline
from tests.embeddings.pictures import encode, scene


def double(x: Any) -> Any:
    return 2 * x


def embedder() -> Pipeline:
    """The default recipe as a graph, in the precision of `exact` whatever the processor has."""
    model = BoundOperator.from_recipe(recipe().operators[2], {"precision": "float32"})
    return (
        Pipeline.input("path")
        .map("path", "image", ops.image_decode.pillow())
        .map("image", "pixels", ops.image_transform.resize_center_crop())
        .map("pixels", "vector", model)
        .map("vector", "vector", ops.normalize.l2())
        .output("vector")
    )


# Vectors.


def test_a_chain_of_operators_is_the_image_pipeline(exact: ImagePipeline, demo: list[Path]) -> None:
    graph = embedder()
    assert graph.fingerprint == exact.fingerprint
    assert np.abs(graph(demo[0]) - exact(demo[0])).max() <= 1e-5
    vectors = graph.batch(demo[:40])
    assert np.abs(np.stack(vectors) - exact(demo[:40])).max() <= 1e-5
    # A vector that is kept does not keep its whole batch.
    assert vectors[3].base is None or vectors[3].base.size == 1280


def test_any_chunk_gives_the_same_vectors(demo: list[Path]) -> None:
    graph = embedder()
    whole = np.stack(graph.batch(demo[:10]))
    for chunk, threads in ((1, 1), (3, 2), (64, 8)):
        parts = list(graph.stream(demo[:10], chunk=chunk, threads=threads))
        assert np.abs(np.stack(parts) - whole).max() <= 1e-5


def test_an_image_pipeline_is_a_node(
    exact: ImagePipeline, demo: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    plain_call: Any = ImagePipeline.__call__

    def noted(self: ImagePipeline, pictures: Any) -> Any:
        sizes.append(len(pictures))
        return plain_call(self, pictures)

    monkeypatch.setattr(ImagePipeline, "__call__", noted)
    graph = Pipeline.input("path").map("path", "vector", exact).output("path", "vector")
    paths, vectors = zip(*graph.batch(demo[:5]), strict=True)
    assert list(paths) == demo[:5]
    assert sizes == [5]
    assert np.abs(np.stack(vectors) - plain_call(exact, demo[:5])).max() <= 1e-5
    path, vector = graph(demo[0])
    assert path == demo[0]
    assert vector.shape == (1280,)
    good, bad, last = graph.batch([demo[0], b"%PDF-1.7", demo[1]], errors="return")
    assert isinstance(bad, ImageError)
    assert "for path = 8 bytes" in bad.__notes__[0]
    assert np.abs(np.stack([good[1], last[1]]) - np.stack(vectors[:2])).max() <= 1e-5
    base = Pipeline.input("a", "b")
    for inputs, outputs in ((("a", "b"), "v"), ("a", ("v", "w"))):
        with pytest.raises(RecipeError, match="can only `map` one column to one"):
            base.map(inputs, outputs, exact)
    for build in (base.flat_map, partial(base.window, size=2, step=2)):
        with pytest.raises(RecipeError, match="can only `map` one column to one"):
            build("a", "v", node=exact)


def test_views_give_one_vector(exact: ImagePipeline, demo: list[Path]) -> None:
    model = BoundOperator.from_recipe(recipe().operators[2])
    graph = (
        Pipeline.input("image")
        .map("image", "image", ops.image_decode.pillow())
        .map("image", "views", ops.image_transform.five_crop())
        .map("views", "views", ops.image_transform.flip())
        .map("views", "vector", model)
        .map("vector", "vector", ops.normalize.l2())
        .output("vector")
    )
    vectors = np.stack(graph.batch(demo[:3]))
    cosines = (vectors * exact(demo[:3])).sum(axis=1)
    assert (cosines > 0.6).all()
    assert (cosines < 0.9999).all()


def test_threads_share_a_pipeline(demo: list[Path]) -> None:
    graph = embedder()
    alone = graph.batch(demo[:6])
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(graph, demo[:6]))
        lists = list(pool.map(lambda _: graph.batch(demo[:6]), range(3)))
    assert np.abs(np.stack(together) - np.stack(alone)).max() <= 1e-5
    for one in lists:
        assert np.abs(np.stack(one) - np.stack(alone)).max() <= 1e-5


# Columns.


def test_one_value_many_values_and_several_columns() -> None:
    base = Pipeline.input("x")
    twice = base.map("x", "y", double)
    assert twice.output("y")(3) == 6
    assert twice.output("y")([1, 2]) == [2, 4]
    assert twice.output("y").batch(()) == []
    assert twice.output("x", "y")(3) == (3, 6)
    parts = base.map("x", ("whole", "rest"), lambda x: divmod(x, 10)).output("rest", "whole")
    assert parts(42) == (2, 4)
    pair = Pipeline.input("a", "b").map(("a", "b"), "c", lambda a, b: a - b).output("c")
    assert pair(5, 3) == 2
    assert pair.batch([(5, 3), (1, 1)]) == [2, 0]
    for wrong in ((), (1,), (1, 2, 3)):
        with pytest.raises(InputError, match="takes 2 inputs"):
            pair(*wrong)
    with pytest.raises(InputError, match="takes 2 inputs"):
        pair.batch([7])


def test_the_builder_never_changes_what_was_built() -> None:
    base = Pipeline.input("x").map("x", "y", double)
    one = base.map("y", "y", lambda y: y + 1).output("y")
    other = base.map("y", "y", str).output("y")
    assert (one(1), other(1), base.output("y")(1)) == (3, "2", 2)


def test_branches_share_their_beginning() -> None:
    calls: list[int] = []

    def count(x: int) -> int:
        calls.append(x)
        return x

    base = Pipeline.input("x").map("x", "y", count)
    left = base.map("y", "left", double)
    right = base.map("y", "r", double).map("r", "right", double)
    other = Pipeline.input("x").map("x", "text", str)
    joined = left.concat(right, other).concat(right).output("left", "right", "text", "y")
    assert joined(5) == (10, 20, "5", 5)
    assert calls == [5]
    assert len(joined.steps) == 5


def test_branches_that_cannot_be_joined() -> None:
    base = Pipeline.input("x").map("x", "y", double)
    with pytest.raises(RecipeError, match="'z'"):
        base.map("y", "z", double).concat(base.map("y", "z", str))
    many = base.flat_map("y", "z", range)
    with pytest.raises(RecipeError, match="rows would not fit"):
        many.concat(base)
    with pytest.raises(RecipeError, match="same inputs"):
        base.concat(Pipeline.input("other"))
    both = many.map("z", "a", double).concat(many.map("z", "b", str)).output("a", "b")
    assert both(1) == [(0, "0"), (2, "1")]


def test_rows_become_more_and_fewer() -> None:
    graph = (
        Pipeline.input("n")
        .flat_map("n", "i", range)
        .filter("i", lambda i: i % 2)
        .map(("n", "i"), "product", lambda n, i: n * i)
        .output("n", "product")
    )
    assert graph(6) == [(6, 6), (6, 18), (6, 30)]
    assert graph.batch([2, 0, 4]) == [[(2, 2)], [], [(4, 4), (4, 12)]]
    pairs = Pipeline.input("n").flat_map("n", ("a", "b"), lambda n: ((i, -i) for i in range(n)))
    assert pairs.output("b", "a")(2) == [(0, 0), (-1, 1)]


def test_windows() -> None:
    rows = Pipeline.input("n").flat_map("n", "i", range)
    assert rows.window("i", "sum", 3, 2, sum).output("i", "sum").batch([5, 0, 2]) == [
        [(0, 3), (2, 9), (4, 4)],
        [],
        [(0, 1)],
    ]
    spread = rows.window(("i", "n"), ("low", "high"), 2, 2, lambda i, n: (min(i), max(n)))
    assert spread.output("low", "high")(3) == [(0, 3), (2, 3)]
    inner = Pipeline.input("list").map("list", "length", len).output("length")
    assert rows.window("i", "length", 2, 2, inner).output("length")(3) == [2, 1]
    for size, step in ((0, 1), (1, 0), (True, 1), (1.5, 1)):
        with pytest.raises(RecipeError, match="1 or more"):
            rows.window("i", "sum", size, step, sum)  # type: ignore[arg-type]


def test_pipelines_as_nodes() -> None:
    inner = Pipeline.input("a", "b").map(("a", "b"), "c", lambda a, b: a + b).output("c", "a")
    outer = Pipeline.input("x").map("x", "y", double).map(("x", "y"), ("s", "t"), inner)
    assert outer.output("s", "t")(3) == (9, 3)
    rows = Pipeline.input("n").flat_map("n", "i", range).output("i")
    assert Pipeline.input("x").flat_map("x", "i", rows).output("i", "x")(2) == [(0, 2), (1, 2)]
    assert Pipeline.input("x").map("x", "list", rows).output("list")(2) == [0, 1]
    odd = Pipeline.input("x").map("x", "odd", lambda x: x % 2).output("odd")
    assert Pipeline.input("n").flat_map("n", "i", range).filter("i", odd).output("i")(4) == [1, 3]
    # A list is a value there, not many rows.
    length = Pipeline.input("x").map("x", "n", len).output("n")
    assert Pipeline.input("x").map("x", "y", length).output("y").batch([[1, 2], []]) == [2, 0]


@pytest.mark.parametrize(
    ("build", "near"),
    [
        (lambda p: p.map("imag", "y", double), "image"),
        (lambda p: p.map(("image", "pth"), "y", double), "path"),
        (lambda p: p.filter("pats", bool), "path"),
        (lambda p: p.output("imagee"), "image"),
        (lambda p: p.window("imge", "y", 1, 1, len), "image"),
    ],
)
def test_wrong_columns_fail_when_the_pipeline_is_built(build: Any, near: str) -> None:
    with pytest.raises(UnknownName) as caught:
        build(Pipeline.input("path").map("path", "image", str))
    assert caught.value.kind == "column"
    assert caught.value.nearest[0] == near


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda p: p.map("x", "y", 7), "not int 7"),
        (lambda p: p.map("x", "y", ops.normalize.l2), r"write ops\.normalize\.l2\(\.\.\.\)"),
        (lambda p: p.map("x", (), double), "Columns are"),
        (lambda p: p.map("x", ("y", "y"), double), "different names"),
        (lambda p: p.map(7, "y", double), "Columns are"),
        (lambda p: p.map("x", "y", Pipeline.input("a")), "no output yet"),
        (lambda p: p.map("x", "y", Pipeline.input("a", "b").output("a")), "takes 2 columns"),
        (lambda p: p.map("x", ("y", "z", "w"), Pipeline.input("a").output("a")), "as many"),
        (lambda p: p.output("x").map("x", "y", double), "has its output"),
        (lambda p: p.output("x").output("x"), "has its output"),
        (lambda p: p(1), "no output yet"),
        (lambda p: p.recipe, "no output yet"),
        (lambda p: Pipeline.input(), "Columns are"),
    ],
)
def test_what_cannot_be_built(build: Any, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        build(Pipeline.input("x"))


# Many rows.


class Batches:
    """A node with batches, which notes their sizes."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, value: int) -> int:
        raise AssertionError("It has batches.")

    def batch(self, values: list[int]) -> list[int]:
        self.sizes.append(len(values))
        return [value + 1 for value in values]


def test_nodes_with_batches_get_whole_chunks() -> None:
    node = Batches()
    graph = Pipeline.input("x").map("x", "y", double).map("y", "z", node).output("z")
    assert graph.batch(range(70)) == [2 * x + 1 for x in range(70)]
    assert sorted(node.sizes) == [6, 32, 32]
    assert graph(1) == 3
    # However many rows a flat_map makes of a chunk, a batch has 32 at most.
    node.sizes.clear()
    many = Pipeline.input("n").flat_map("n", "i", range).map("i", "z", node).output("z")
    assert many(70) == list(range(1, 71))
    assert node.sizes == [32, 32, 6]


def test_batches_of_the_wrong_length_are_an_error() -> None:
    class Wrong(Batches):
        def batch(self, values: list[int]) -> list[int]:
            return values[1:]

    graph = Pipeline.input("x").map("x", "y", Wrong()).output("y")
    with pytest.raises(InputError, match=r"2 results for a batch of 3"):
        graph.batch([1, 2, 3])


def test_rows_run_in_several_threads_and_come_in_order() -> None:
    barrier = threading.Barrier(4)

    def meet(x: int) -> int:
        barrier.wait(30)  # passes only where four rows are under way at once
        return -x

    graph = Pipeline.input("x").map("x", "y", meet).output("y")
    assert graph.batch(range(16)) == [-x for x in range(16)]


def test_the_next_chunk_is_decoded_while_the_model_runs() -> None:
    second = threading.Event()

    def decode(x: int) -> int:
        if x >= 32:
            second.set()
        return x

    class Model(Batches):
        def batch(self, values: list[int]) -> list[int]:
            if 0 in values:
                assert second.wait(30), "nothing is decoded while the first chunk is here"
            return values

    graph = Pipeline.input("x").map("x", "y", decode).map("y", "z", Model()).output("z")
    assert graph.batch(range(64)) == list(range(64))


def test_a_stream_reads_no_more_than_it_needs() -> None:
    read = itertools.count()
    graph = Pipeline.input("x").map("x", "y", double).output("y")
    endless: Iterator[int] = iter(lambda: next(read), -1)
    stream = graph.stream(endless, chunk=4)
    assert list(itertools.islice(stream, 10)) == list(range(0, 20, 2))
    assert next(read) <= 10 + 3 * 4
    stream.close()  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="chunk and threads"):
        graph.stream([], chunk=0)
    with pytest.raises(InputError, match="'raise' or 'return'"):
        graph.stream([], errors="ignore")  # type: ignore[arg-type]


def test_a_slow_source_gets_its_results_soon() -> None:
    """No result waits for a chunk to fill, and the first for no other row."""
    read: list[int] = []
    idle = threading.Event()

    def slow() -> Iterator[int]:
        for x in range(12):
            idle.wait(0.05)  # rows come later than results do
            read.append(x)
            yield x

    graph = Pipeline.input("x").map("x", "y", double).output("y")
    behind = [len(read) - at for at, _ in enumerate(graph.stream(slow()), 1)]
    assert behind[0] == 0
    assert max(behind) <= 3  # 1, on a machine that is not busy
    read.clear()
    assert [len(read) for _ in graph.stream(slow(), chunk=1)] == list(range(1, 13))


def test_chunks_of_a_stream_grow() -> None:
    chunks: list[tuple[int, int]] = []

    class Slow(Batches):
        def batch(self, values: list[int]) -> list[int]:
            chunks.append((values[0], len(values)))
            time.sleep(0.02)  # while the next chunk fills
            return values

    graph = Pipeline.input("x").map("x", "z", Slow()).output("z")
    assert list(graph.stream(range(300))) == list(range(300))
    sizes = [size for _, size in sorted(chunks)]
    assert all(size <= min(2**number, 32) for number, size in enumerate(sizes))
    assert max(sizes) == 32


class Big:
    """Something like a picture, of which few may be alive."""


def test_values_live_no_longer_than_they_are_needed() -> None:
    alive: weakref.WeakSet[Big] = weakref.WeakSet()
    most = 0

    def load(_: int) -> Big:
        big = Big()
        alive.add(big)
        return big

    def look(big: Big) -> int:
        nonlocal most
        most = max(most, len(alive))
        return 1

    graph = Pipeline.input("x").map("x", "big", load).map("big", "n", look).map("n", "z", Batches())
    assert sum(graph.output("z").stream(range(400), threads=2)) == 800
    gc.collect()
    assert not alive
    assert most <= 2 * 2 + 2  # a few for each thread, not those of whole chunks


# Errors.


def test_errors_keep_their_type_and_name_node_and_input() -> None:
    graph = Pipeline.input("data").map("data", "image", ops.image_decode.pillow()).output("image")
    good = encode(scene(), "png")
    for data in (b"%PDF-1.7", [good, b"%PDF-1.7", good]):
        with pytest.raises(ImageError) as caught:
            graph(data)
        assert caught.value.code == "not_a_picture"
        (note,) = caught.value.__notes__
        assert note == "in step 1, map data → image: image_decode.pillow, for data = 8 bytes"


def test_results_before_an_error_are_given() -> None:
    graph = Pipeline.input("x").map("x", "y", lambda x: 6 // (5 - x)).output("y")
    stream = graph.stream(range(10), chunk=3)
    assert list(itertools.islice(stream, 5)) == [1, 1, 2, 3, 6]
    with pytest.raises(ZeroDivisionError) as caught:
        next(stream)
    assert "<lambda>" in caught.value.__notes__[0]
    assert "for x = 5" in caught.value.__notes__[0]
    results = graph.batch(range(4, 8), errors="return")
    assert [results[0], *results[2:]] == [6, -6, -3]
    assert isinstance(results[1], ZeroDivisionError)


@pytest.mark.parametrize("chunk", [1, 2, 32])
def test_rows_of_the_wrong_shape_fail_in_their_places(chunk: int) -> None:
    graph = Pipeline.input("a", "b").map(("a", "b"), "c", lambda a, b: a - b).output("c")
    rows: list[Any] = [(5, 3), (1,), 7, "no", (1, 1)]
    for results in (
        graph.batch(rows, errors="return"),
        list(graph.stream(rows, chunk=chunk, errors="return")),
    ):
        assert [results[0], results[4]] == [2, 0]
        assert all(isinstance(result, InputError) for result in results[1:4])
    stream = graph.stream(rows, chunk=chunk)
    assert next(stream) == 2
    with pytest.raises(InputError, match="takes 2 inputs a row"):
        next(stream)


@pytest.mark.parametrize("errors", ["raise", "return"])
def test_an_iterable_that_fails_does_so_after_the_results_before(errors: Any) -> None:
    def rows() -> Iterator[int]:
        yield from range(10)
        raise OSError("the source is gone")

    graph = Pipeline.input("x").map("x", "y", double).output("y")
    for chunk in (1, 3, 10, 32):
        results: list[int] = []
        with pytest.raises(OSError, match="source is gone"):
            results.extend(graph.stream(rows(), chunk=chunk, errors=errors))
        assert results == list(range(0, 20, 2))
    with pytest.raises(OSError, match="source is gone"):
        graph.batch(rows(), errors=errors)  # type: ignore[arg-type]


def test_the_row_that_an_operator_failed_for_is_found_in_its_batch() -> None:
    graph = Pipeline.input("v").map("v", "w", ops.normalize.l2()).output("w")
    good, bad = np.ones(3, np.float32), np.ones((2, 2), np.float32)
    results = graph.batch([good, bad, good], errors="return")
    assert [type(x).__name__ for x in results] == ["ndarray", "InputError", "ndarray"]
    assert "float32 of shape (2, 2)" in results[1].__notes__[0]


def test_a_failing_batch_of_another_object_fails_all_its_rows() -> None:
    class Broken(Batches):
        def batch(self, values: list[int]) -> list[int]:
            raise OSError("no device")

    graph = Pipeline.input("x").map("x", "y", Broken()).output("y")
    with pytest.raises(OSError, match="no device") as caught:
        graph.batch([7, 8, 9])
    assert caught.value.__notes__[0] == "(in a batch of 3 rows)"
    assert "for x = 7" in caught.value.__notes__[1]
    assert len(caught.value.__notes__) == 2


def test_errors_of_inner_pipelines_name_both_nodes() -> None:
    inner = Pipeline.input("n").map("n", "m", lambda n: 1 // n).output("m")
    outer = Pipeline.input("x").map("x", "y", int).map("y", "z", inner).output("z")
    results = outer.batch(["1", "0", "2"], errors="return")
    assert results[::2] == [1, 0]
    first, second = results[1].__notes__
    assert "for n = 0" in first
    assert "step 2" in second
    assert "for x = '0'" in second


def test_errors_in_generators_filters_windows_and_unpacking() -> None:
    def some(n: int) -> Iterator[int]:
        yield n
        raise KeyError(n)

    rows = Pipeline.input("n").flat_map("n", "i", range)
    for graph, error in (
        (Pipeline.input("n").flat_map("n", "i", some), KeyError),
        (Pipeline.input("n").flat_map("n", "i", int), TypeError),
        (rows.filter("i", lambda i: 1 // i), ZeroDivisionError),
        (rows.window("i", "s", 2, 2, lambda i: i[9]), IndexError),
        (Pipeline.input("n").map("n", ("a", "b"), lambda n: (n, n, n)), InputError),
        (Pipeline.input("n").map("n", ("a", "b"), lambda n: n), InputError),
    ):
        with pytest.raises(error) as caught:
            graph.output("n")(3)
        assert "for n = 3" in caught.value.__notes__[0]
        with pytest.raises(error):
            graph.output("n").batch([3, 3])


def test_a_stream_that_is_left_stops_working() -> None:
    done: list[int] = []

    def slow(x: int) -> int:
        time.sleep(0.001)
        done.append(x)
        return x

    graph = Pipeline.input("x").map("x", "y", slow).output("y")
    stream = graph.stream(itertools.count(), chunk=4, threads=2)
    assert next(stream) == 0
    stream.close()  # type: ignore[attr-defined]
    count = len(done)
    assert count <= 12
    assert not [t for t in threading.enumerate() if t.name.startswith("embeddings-chunks")]


def test_pipelines_survive_pickling() -> None:
    graph = Pipeline.input("x").map("x", "y", double).output("y")
    assert pickle.loads(pickle.dumps(graph))(4) == 8
    operators = embedder()
    assert pickle.loads(pickle.dumps(operators)).fingerprint == operators.fingerprint
