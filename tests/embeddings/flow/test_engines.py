"""The local engine: one thread or many give the same rows, stop early, and leave nothing behind."""

from __future__ import annotations

import importlib.util
import itertools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from embeddings import DataCollection, Pipeline, ops
from embeddings.errors import PackageMissing, UnknownName
from embeddings.flow.collection.empty import Empty
from embeddings.operators.bound import BoundOperator
from embeddings.operators.normalize import L2
from embeddings.pipelines import ImagePipeline
from embeddings.runtimes import loader
from harness.installation import ROOT
from tests.embeddings.flow import chains
from tests.properties import examples


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Every test ends with the threads that it began with."""
    yield
    left = [one.name for one in threading.enumerate() if one.name.startswith("embeddings-coll")]
    assert left == []


@settings(max_examples=examples(150))
@given(chains.sources, chains.links)
def test_wild_chains_in_one_thread_and_in_many(
    numbers: list[int], chain: list[chains.Link]
) -> None:
    expected = chains.expected(numbers, chain)
    dc = chains.collection(numbers, chain)
    assert dc.to_list() == expected
    assert dc.set_parallel(3).to_list() == expected
    assert dc.safe().set_parallel(2).to_list() == expected


def test_results_keep_their_order_however_long_they_take() -> None:
    waits = itertools.cycle([0.004, 0, 0.002, 0])

    def slow(x: int) -> int:
        time.sleep(next(waits))
        return x

    assert DataCollection.range(300).map(slow).set_parallel(8).to_list() == list(range(300))


def test_functions_run_in_the_callers_thread_unless_told_otherwise() -> None:
    def where(_: int) -> int:
        return threading.get_ident()

    here = {threading.get_ident()}
    assert set(DataCollection.range(20).map(where)) == here
    assert not here & set(DataCollection.range(20).map(where).set_parallel(2))
    threads: set[int] = set()
    failed = DataCollection.range(20).safe().map(lambda x: 1 / 0).set_parallel(2)
    assert failed.drop_empty(lambda _: threads.add(threading.get_ident())).to_list() == []
    assert threads == here


def test_slow_functions_are_spread_over_all_threads() -> None:
    meeting = threading.Barrier(4, timeout=20)

    def meet(x: int) -> int:
        meeting.wait()  # returns only where four are here at once
        return x

    assert DataCollection.range(4).map(meet).set_parallel(4).to_list() == [0, 1, 2, 3]


def test_the_source_is_read_only_a_little_ahead() -> None:
    numbers: list[int] = []

    def source() -> Iterator[int]:
        for number in itertools.count():
            numbers.append(number)
            yield number

    def slow(x: int) -> int:
        time.sleep(0.02)
        return x

    rows = iter(DataCollection(source()).map(slow).set_parallel(2))
    for number in range(30):
        assert next(rows) == number
        assert len(numbers) - number <= 2 * 3 + 3
    rows.close()


def test_what_is_done_goes_out_before_a_slow_source_is_waited_for() -> None:
    received = threading.Event()

    def source() -> Iterator[int]:
        yield 1
        yield 2
        assert received.wait(20)
        yield 3

    rows = iter(DataCollection(source()).map(lambda x: x).set_parallel(2))
    assert next(rows) == 1
    received.set()
    assert list(rows) == [2, 3]


def test_a_failure_in_a_thread_comes_at_its_place_and_names_its_input() -> None:
    def fail(x: int) -> int:
        if x in (40, 60):
            raise KeyError(x)
        return x

    dc = DataCollection.range(1000).map(fail).map(str).set_parallel(4)
    results, error = chains.until_failure(dc)
    assert results == [str(x) for x in range(40)]
    assert isinstance(error, KeyError)
    assert error.args == (40,)
    assert error.__notes__[0].startswith("in step 1, map ")
    assert error.__notes__[0].endswith("for 40")
    rows = DataCollection.range(100).safe().map(fail).set_parallel(4).to_list()
    assert [row.input for row in rows if type(row) is Empty] == [40, 60]


def test_a_failure_that_only_batches_show_is_found() -> None:
    vectors = [np.ones(4, np.float32) for _ in range(30)]
    vectors[17] = np.full(4, np.inf, np.float32)
    dc = DataCollection(vectors).map(lambda x: x).normalize.l2()
    for variant in (dc, dc.set_parallel(2)):
        results, error = chains.until_failure(variant)
        assert len(results) == 17
        assert "NaN or infinity" in str(error)
        assert error.__notes__[0].startswith("in step 2, map normalize.l2")


def test_ending_early_stops_the_threads() -> None:
    begun = []

    def slow(x: int) -> int:
        begun.append(x)
        time.sleep(0.01)
        return x

    rows = iter(DataCollection(itertools.count()).map(slow).set_parallel(4))
    assert [next(rows), next(rows)] == [0, 1]
    rows.close()
    before = len(begun)
    time.sleep(0.1)
    assert len(begun) == before
    assert DataCollection(itertools.count()).map(slow).set_parallel(4).head(3).to_list() == [
        0,
        1,
        2,
    ]
    for _ in DataCollection(itertools.count()).map(slow).set_parallel(2):
        break
    assert DataCollection(itertools.count()).map(slow).set_parallel(2).first() == 0


def test_a_collection_inside_of_another_ends_with_it() -> None:
    inner = DataCollection(itertools.count()).map(str).set_parallel(2)
    assert DataCollection("ab").zip(inner).to_list() == [("a", "0"), ("b", "1")]
    endless = DataCollection("ab").concat(DataCollection([1, 2]).map(str).set_parallel(2))
    assert endless.head(3).to_list() == ["a", "b", "1"]


INTERRUPTED = """
import itertools, sys, threading, time
from embeddings import DataCollection

def slow(x):
    if x == 20:
        print("begun", flush=True)
    time.sleep(0.02)
    return x

try:
    for row in DataCollection(itertools.count()).map(slow){way}:
        pass
except KeyboardInterrupt:
    print("interrupted", threading.active_count(), flush=True)
"""


@pytest.mark.parametrize("way", ["", ".set_parallel(3)"])
def test_an_interrupt_ends_it_at_once(way: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED.format(way=way)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20)[0] == "interrupted 1\n"
        assert process.returncode == 0
    finally:
        process.kill()


def test_a_pipeline_gives_the_vectors_of_its_stream(demo: list[Path], exact: ImagePipeline) -> None:
    expected = np.stack(list(exact.stream(demo[:20])))
    dc = DataCollection.from_list(demo[:20]).map(exact)
    graph = Pipeline.input("path").map("path", "vector", exact).output("vector")
    for variant in (dc, dc.set_parallel(2), DataCollection.from_list(demo[:20]).map(graph)):
        vectors = variant.to_list()
        assert np.abs(np.stack(vectors) - expected).max() <= 1e-5
        assert all(one.base is None or one.base.size == 1280 for one in vectors)


def test_a_pipeline_uses_several_threads_unasked_and_other_steps_none(
    demo: list[Path], exact: ImagePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    prepare: Any = ImagePipeline.prepare

    def noted(self: ImagePipeline, image: Any) -> Any:
        threads.add(threading.current_thread().name)
        return prepare(self, image)

    monkeypatch.setattr(ImagePipeline, "prepare", noted)
    mine: set[str] = set()

    def note(value: Any) -> Any:
        mine.add(threading.current_thread().name)
        return value

    assert DataCollection.from_list(demo[:20]).map(note).map(exact).map(note).count() == 20
    assert mine == {threading.current_thread().name}
    assert not threads & mine


def test_concurrent_operators_do_not_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = threading.Barrier(2, timeout=20)
    plain: Any = L2.__call__

    def met(self: L2, vectors: Any) -> Any:
        meeting.wait()
        return plain(self, vectors)

    operator = ops.normalize.l2()
    monkeypatch.setattr(L2, "__call__", met)
    together = [threading.Thread(target=operator.batch, args=([np.ones(2)],)) for _ in range(2)]
    for one in together:
        one.start()
    for one in together:
        one.join()
    assert not meeting.broken


def test_a_model_is_loaded_once_by_many_threads(
    demo: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    load: Any = loader.load_network

    def noted(*arguments: Any) -> Any:
        loaded.append(arguments)
        time.sleep(0.05)
        return load(*arguments)

    monkeypatch.setattr("embeddings.operators.embed.load_network", noted)
    # Pooled otherwise than elsewhere in these tests, so that no other has loaded it.
    model = ops.image_embedding.timm("efficientnet-lite0", pooling="max", runtime="torch")
    dc = DataCollection.from_list(demo[:12]).image_decode.pillow().map(model).set_parallel(4)
    assert dc.to_numpy().shape == (12, 1280)
    assert len(loaded) == 1
    assert isinstance(model, BoundOperator)


def test_options_of_ray_are_checked_and_a_missing_package_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dc = DataCollection.range(3)
    with pytest.raises(UnknownName, match="'address'"):
        dc.set_engine("ray", adress="auto")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name)
    )
    with pytest.raises(PackageMissing, match=r"pip install -r requirements/ray\.txt"):
        dc.set_engine("ray")
