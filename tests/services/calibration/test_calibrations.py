"""Calibrations made of vectors in Milvus, and where they are shown."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from embeddings.recipes import DEFAULT_PIPELINE
from searchapp.infra.vectors.errors import VectorsUnavailable
from searchapp.infra.vectors.store import VectorStore
from searchapp.models import Calibration, Dataset, Image, ImageState, Index, IndexState
from searchapp.services import calibration
from searchapp.services.search.cutoff import cut_off
from worker.tasks.calibration import calibrate

DIMENSION = 32


@pytest.fixture
def index(dataset: Dataset) -> Index:
    index = dataset.active_index
    Index.objects.filter(pk=index.pk).update(dimension=DIMENSION)
    index.refresh_from_db()
    return index


@pytest.fixture
def rows(index: Index) -> Callable[[int], list[Image]]:
    """Add ready images."""

    def make(number: int) -> list[Image]:
        start = Image.objects.count()
        return Image.objects.bulk_create(
            Image(
                dataset_id=index.dataset_id, content_key=f"{n:064x}", sha256=f"{n:064x}",
                name=f"{n}", bytes=1, state=ImageState.READY,
            )
            for n in range(start, start + number)
        )  # fmt: skip

    return make


@pytest.fixture
def fill(
    index: Index, store: VectorStore, rows: Callable[[int], list[Image]]
) -> Callable[[int], None]:
    """Add ready images with random vectors about a common direction, as models make them."""

    def make(number: int) -> None:
        images = rows(number)
        drawn = np.random.default_rng(images[0].pk).normal(size=(number, DIMENSION))
        drawn[:, 0] += 0.5 * DIMENSION**0.5
        vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
        store.ensure_collection(index.collection, DIMENSION)
        store.upsert(index.collection, [image.pk for image in images], vectors)

    return make


def test_a_dataset_is_calibrated_by_itself(index: Index, fill: Callable[[int], None]) -> None:
    before = calibration.bounds_of([index])
    assert before == calibration.general_bounds(DEFAULT_PIPELINE)
    assert "small" in before.basis
    fill(60)
    calibrate()
    record = Calibration.objects.get()
    assert (record.images, record.sampled, record.pairs) == (60, 60, 60 * 59 // 2)
    assert sum(record.nearest_counts) == 60
    bounds = calibration.bounds_of([index])
    assert (bounds.lower, bounds.usual, bounds.upper) == (record.lower, record.usual, record.upper)
    assert record.quantiles["random"]["0.5"] < record.quantiles["nearest"]["0.5"]
    assert cut_off([record.usual], bounds).reason == bounds.basis


def test_few_pictures_say_nothing(index: Index, fill: Callable[[int], None]) -> None:
    fill(29)
    assert calibration.due() == []
    assert calibration.calibrate(index) is None
    assert not Calibration.objects.exists()


def test_it_is_made_again_when_the_dataset_has_grown_by_half(
    index: Index, fill: Callable[[int], None]
) -> None:
    fill(40)
    calibrate()
    first = Calibration.objects.get()
    fill(19)
    assert calibration.due() == []
    fill(1)
    assert calibration.due() == [index]
    calibrate()
    again = Calibration.objects.get()
    assert (again.pk, again.images) == (first.pk, 60)
    assert calibration.due() == []


def test_a_sample_of_many_is_bounded_and_from_all_over(
    index: Index, rows: Callable[[int], list[Image]]
) -> None:
    images = rows(6000)
    drawn = calibration.sample(index, len(images))
    assert len(drawn) == len(set(drawn)) == 256
    assert drawn != calibration.sample(index, len(images))
    quarters = np.histogram(drawn, bins=4, range=(images[0].pk, images[-1].pk + 1))[0]
    assert quarters.min() > 256 / 4 / 2


def test_an_index_that_is_given_up_meanwhile_gets_none(
    index: Index, fill: Callable[[int], None]
) -> None:
    fill(30)
    Index.objects.filter(pk=index.pk).update(state=IndexState.RETIRED)
    assert calibration.calibrate(index) is None
    assert not Calibration.objects.exists()


def test_milvus_may_be_down(
    index: Index, fill: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(30)

    def down(*_: object) -> None:
        raise VectorsUnavailable("It is down.")

    monkeypatch.setattr(VectorStore, "fetch", down)
    calibrate()
    assert not Calibration.objects.exists()
    assert calibration.due() == [index]


def test_several_datasets_count_by_their_pictures(owner: User, index: Index) -> None:
    other = Index.objects.create(
        dataset=Dataset.objects.create(slug="o", name="O", owner=owner), state=IndexState.ACTIVE,
        pipeline=index.pipeline, recipe={}, fingerprint=index.fingerprint, dimension=DIMENSION,
    )  # fmt: skip
    for which, images, usual in ((index, 300, 0.4), (other, 100, 0.8)):
        _keep(which, images, usual)
    bounds = calibration.bounds_of([index, other])
    assert bounds.usual == pytest.approx(0.5)
    assert "these datasets" in bounds.basis
    plot = calibration.plot_of([index, other], [0.25, -0.5, 1], 0.5)
    assert plot is not None
    assert plot.marks == "M100 68V80M0 68V80M400 68V80"
    assert plot.strangers == "M80 80v-80.0h8V80z"
    assert plot.nearest == "M240 80v-80.0h8V80z"
    assert plot.line == 200
    assert plot.images == 400


def _keep(index: Index, images: int, usual: float) -> None:
    Calibration.objects.create(
        index=index, version=1, images=images, sampled=30, pairs=435, lower=usual - 0.1,
        usual=usual, upper=usual + 0.1, random_counts=[0] * 60 + [435] + [0] * 39,
        nearest_counts=[0] * 80 + [30] + [0] * 19,
        quantiles={"random": {"0.5": 0.2}, "nearest": {"0.5": 0.6}}, made=timezone.now(),
    )  # fmt: skip


def test_pages_and_api_show_it(client: Client, owner: User, index: Index) -> None:
    client.force_login(owner)
    page, address = f"/datasets/{index.dataset.slug}/indexes/", f"/api/v1/indexes/{index.pk}/"
    assert "What scores mean here" not in client.get(page).content.decode()
    assert client.get(address).json()["calibration"] is None
    _keep(index, 300, 0.4)
    shown = client.get(page).content.decode()
    assert "What scores mean here" in shown
    assert "cut-off 0.40" in shown
    assert 'style="' not in shown
    body = client.get(address).json()["calibration"]
    assert (body["images"], body["usual"], body["quantiles"]["nearest"]["0.5"]) == (300, 0.4, 0.6)
