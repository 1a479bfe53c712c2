"""The batcher gathers what waits, and survives its model's failures."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from embeddings.batching import Array, Batcher, Busy, Vector
from embeddings.pipelines import ImagePipeline


class Model:
    """Doubles its numbers, notes the batch sizes, and waits at a gate where it is told to."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, batch: list[Array]) -> Vector:
        self.sizes.append(len(batch))
        self.entered.release()
        assert self.gate.wait(30)
        if any(x[0] < 0 for x in batch):
            raise ValueError("negative")
        return np.stack([x.astype(np.float32) * 2 for x in batch])

    def hold(self) -> None:
        self.gate.clear()


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def batcher(model: Model) -> Iterator[Batcher]:
    instance = Batcher(model, max_batch=4, max_waiting=10)
    yield instance
    model.gate.set()
    instance.close()


def number(value: int) -> Array:
    return np.array([value, value])


def test_waiting_submissions_become_batches(model: Model, batcher: Batcher) -> None:
    model.hold()
    first = batcher.submit(number(0))
    assert model.entered.acquire(timeout=30)  # it started alone, at once
    rest = [batcher.submit(number(value)) for value in range(1, 10)]
    model.gate.set()
    for value, future in enumerate([first, *rest]):
        vector = future.result(30)
        assert vector.dtype == np.float32
        assert vector.tolist() == [2 * value, 2 * value]
    assert model.sizes == [1, 4, 4, 1]


def test_a_failure_reaches_its_batch_and_the_thread_lives(model: Model, batcher: Batcher) -> None:
    with pytest.raises(ValueError, match="negative"):
        batcher.submit(number(-1)).result(30)
    assert batcher.submit(number(3)).result(30).tolist() == [6, 6]


def test_a_failing_batch_fails_each_of_its_futures(model: Model, batcher: Batcher) -> None:
    model.hold()
    batcher.submit(number(0))
    assert model.entered.acquire(timeout=30)
    bad = [batcher.submit(number(value)) for value in (1, -1, 2)]
    model.gate.set()
    for future in bad:
        assert isinstance(future.exception(30), ValueError)


def test_the_line_is_bounded(model: Model, batcher: Batcher) -> None:
    model.hold()
    batcher.submit(number(0))
    assert model.entered.acquire(timeout=30)
    waiting = [batcher.submit(number(1)) for _ in range(10)]
    with pytest.raises(Busy) as caught:
        batcher.submit(number(1))
    assert caught.value.code == "busy"
    model.gate.set()
    assert all(future.result(30)[0] == 2 for future in waiting)


def test_a_cancelled_submission_costs_nothing(model: Model, batcher: Batcher) -> None:
    model.hold()
    batcher.submit(number(0))
    assert model.entered.acquire(timeout=30)
    unwanted = [batcher.submit(number(-1)) for _ in range(4)]  # a whole batch
    remaining = batcher.submit(number(5))
    assert all(future.cancel() for future in unwanted)
    model.gate.set()
    assert remaining.result(30)[0] == 10
    assert model.sizes == [1, 1]


def test_close_finishes_what_waits_and_takes_no_more(model: Model) -> None:
    batcher = Batcher(model)
    futures = [batcher.submit(number(value)) for value in range(20)]
    batcher.close()
    batcher.close()
    assert [future.result(0)[0] for future in futures] == [2 * value for value in range(20)]
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit(number(1))


def test_a_wrong_number_of_vectors_is_an_error() -> None:
    batcher = Batcher(lambda batch: np.zeros((len(batch) + 1, 2), np.float32))
    assert isinstance(batcher.submit(number(1)).exception(30), RuntimeError)
    batcher.close()


def test_with_the_real_pipeline(exact: ImagePipeline) -> None:
    rng = np.random.default_rng(5)
    prepared = [rng.integers(0, 256, (3, 224, 224), dtype=np.uint8) for _ in range(6)]
    batcher = Batcher(exact.embed)
    vectors = [future.result(60) for future in [batcher.submit(x) for x in prepared]]
    batcher.close()
    np.testing.assert_allclose(vectors, exact.embed(prepared), atol=1e-5)
