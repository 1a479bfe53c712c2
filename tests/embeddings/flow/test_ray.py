"""The engine "ray", on a real local cluster: the rows of the local engine, and clear failures."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from embeddings import DataCollection
from embeddings.errors import ImageError, InputError, WorkerError
from embeddings.flow.collection.empty import Empty
from embeddings.pipelines import ImagePipeline
from harness.installation import ROOT
from tests.embeddings.flow import chains
from tests.embeddings.flow.chains import until_failure
from tests.properties import examples

pytestmark = [
    # Ray's own: files and sockets that it leaves to the collector, and what it will change.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One cluster for all tests, started here as a program would start its own."""
    import ray

    old_values = {name: os.environ.get(name) for name in ("RAY_USAGE_STATS_ENABLED", "PYTHONPATH")}
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
    start = partial(
        ray.init, address="local", num_cpus=2, include_dashboard=False,
        object_store_memory=100 * 2**20, log_to_driver=False, logging_level=logging.ERROR,
    )  # fmt: skip
    try:
        start()
    except Exception:  # Ray waits 30 seconds for its own processes, a busy machine needs more
        ray.shutdown()
        start()
    yield
    ray.shutdown()
    for name, value in old_values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def on_ray(collection: DataCollection, **options: Any) -> DataCollection:
    return collection.set_engine("ray", **{"workers": 1, **options})


@pytest.mark.long
@settings(max_examples=examples(6), suppress_health_check=list(HealthCheck))
@given(chains.sources, chains.links)
def test_wild_chains_are_those_of_the_local_engine(
    numbers: list[int], chain: list[chains.Link]
) -> None:
    dc = on_ray(chains.collection(numbers, chain))
    assert dc.to_list() == chains.expected(numbers, chain)


@pytest.mark.long
def test_order_processes_and_closures(tmp_path: Path) -> None:
    factor = 3

    def slow(x: int) -> tuple[int, int]:
        """Dawdles until a second process works too: on a busy machine that one starts late."""
        (tmp_path / str(os.getpid())).touch()
        if len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.2)
        time.sleep(0.003 * (x % 3))
        return factor * x, os.getpid()

    rows = on_ray(DataCollection.range(300).map(slow), workers=2).to_list()
    assert [number for number, _ in rows] == list(range(0, 900, 3))
    assert len({process for _, process in rows} - {os.getpid()}) == 2


@pytest.mark.slow
def test_vectors_are_the_same_and_belong_to_the_caller(
    demo: list[Path], exact: ImagePipeline
) -> None:
    pictures: list[Any] = [*demo[:6], b"no picture", demo[6]]
    dc = DataCollection(pictures).safe().map(exact)
    local, remote = dc.to_list(), on_ray(dc).to_list()
    assert [type(row) for row in local] == [type(row) for row in remote]
    assert isinstance(remote[6].exception, ImageError)
    assert remote[6].exception.__notes__ == local[6].exception.__notes__
    for mine, theirs in zip(local, remote, strict=True):
        if type(mine) is not Empty:
            assert np.abs(mine - theirs).max() <= 1e-5
            theirs += 1  # writable, as any array of one's own


@pytest.mark.slow
def test_a_failure_comes_at_its_place_with_note_and_traceback() -> None:
    def fail(x: int) -> float:
        return 1 / (x - 40)

    results, error = until_failure(on_ray(DataCollection.range(1000).map(fail)))
    assert results == [fail(x) for x in range(40)]
    assert isinstance(error, ZeroDivisionError)
    assert error.__notes__[0].endswith("for 40")
    assert "in fail" in str(error.__cause__)
    safe = on_ray(DataCollection.range(100).safe().map(fail)).to_list()
    assert [at for at, row in enumerate(safe) if type(row) is Empty] == [40]


class TwoParts(Exception):
    """An error that pickle cannot make again."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")


@pytest.mark.long
def test_what_cannot_be_pickled_is_named() -> None:
    lock = threading.Lock()

    def lazy(x: int) -> Any:
        return (y for y in [x]) if x == 5 else x

    def odd(x: int) -> int:
        raise TwoParts("out of", "paper")

    _, error = until_failure(on_ray(DataCollection.range(9).map(str).map(lambda x: (x, lock))))
    assert isinstance(error, InputError)
    assert "step 2, map " in str(error)
    assert "cannot pickle" in str(error)
    results, error = until_failure(on_ray(DataCollection([1, 2, lock, 4]).map(str)))
    assert results == ["1", "2"]
    assert isinstance(error, InputError)
    assert "_thread.lock" in error.__notes__[0]
    results, error = until_failure(on_ray(DataCollection.range(9).map(lambda x: x).map(lazy)))
    assert results == [0, 1, 2, 3, 4]
    assert "What step 2, map " in str(error)
    assert error.__notes__[0].endswith("for 5")
    _, error = until_failure(on_ray(DataCollection.range(9).map(odd)))
    assert isinstance(error, WorkerError)
    assert "TwoParts: out of paper" in str(error)
    assert error.__notes__[0].endswith("for 0")
    rows = on_ray(DataCollection([1, lock]).safe().map(str)).to_list()
    assert rows[0] == "1"
    assert rows[1].input is lock


@pytest.mark.long
def test_a_process_that_dies_names_step_and_input() -> None:
    def die(x: int) -> int:
        if x == 5:
            os._exit(3)
        return x

    dc = DataCollection.range(9).map(lambda x: x)
    results, error = until_failure(on_ray(dc.map(die).map(str)))
    assert results == ["0", "1", "2", "3", "4"]
    assert isinstance(error, WorkerError)
    assert "died in step 2, map " in str(error)
    assert "for 5:" in str(error)
    rows = on_ray(dc.safe().map(die), workers=2).to_list()
    assert [row.input if type(row) is Empty else row for row in rows] == list(range(9))
    assert isinstance(rows[5].exception, WorkerError)


@pytest.mark.long
def test_it_reads_only_a_little_ahead_and_ends_early() -> None:
    numbers = []

    def source() -> Iterator[int]:
        for number in itertools.count():
            numbers.append(number)
            yield number

    def slow(x: int) -> int:
        time.sleep(0.1)
        return x

    rows = iter(on_ray(DataCollection(source()).map(slow)))
    assert [next(rows), next(rows)] == [0, 1]
    assert len(numbers) <= 10
    rows.close()
    assert on_ray(DataCollection.range(100).map(slow)).head(2).to_list() == [0, 1]


@pytest.mark.long
def test_what_is_searched_is_read_by_the_caller_and_sent_once() -> None:
    import ray

    puts: list[Any] = []
    put: Any = ray.put

    def noted(value: Any) -> Any:
        puts.append(value)
        return put(value)

    vectors = np.random.default_rng(1).normal(size=(2000, 64)).astype(np.float32)
    gallery = DataCollection(vectors).map(lambda vector: vector)
    dc = DataCollection(vectors[:300]).search_vectors(gallery, top_k=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray, "put", noted)
        hits = on_ray(dc).map(lambda one: one.ids[0]).select_from(range(2000)).to_list()
    assert hits == list(range(300))
    assert len(puts) == 1
    assert max(buffer.nbytes for buffer in puts[0][1]) == vectors.nbytes
    assert len(puts[0][0]) < 20_000


@pytest.mark.long
def test_more_processes_than_cores_share_them() -> None:
    assert on_ray(DataCollection.range(50).map(str), workers=3).count() == 50
    inner = on_ray(DataCollection.range(50).map(str))
    both = on_ray(DataCollection.range(50).map(str)).zip(inner)
    assert both.to_list() == [(str(x), str(x)) for x in range(50)]


@pytest.mark.long
def test_an_address_without_a_cluster_is_told_at_once() -> None:
    program = (
        "from embeddings import DataCollection\n"
        "dc = DataCollection([1]).set_engine('ray', address='127.0.0.1:1').map(str)\n"
        "try:\n    dc.to_list()\nexcept Exception as error:\n    print(error.code, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.stdout.startswith("worker_failed There is no Ray cluster at '127.0.0.1:1': ")


INTERRUPTED = """
import itertools, os, sys, time
from embeddings import DataCollection

def slow(x):
    time.sleep(0.02)
    return x

try:
    for row in DataCollection(itertools.count()).map(slow).set_engine("ray", num_cpus=1):
        if row == 5:
            print("begun", flush=True)
except KeyboardInterrupt:
    import ray
    print("interrupted", ray.is_initialized(), "RAY_USAGE_STATS_ENABLED" in os.environ, flush=True)
"""


@pytest.mark.long
def test_a_cluster_of_its_own_ends_with_an_interrupt() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "begun\n":
                break
        process.send_signal(signal.SIGINT)
        assert "interrupted False False\n" in process.communicate(timeout=60)[0]
        assert process.returncode == 0
    finally:
        process.kill()
