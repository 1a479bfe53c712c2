"""An index has one precision from its first vectors on; a machine that lacks it says so."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from embeddings.errors import RuntimeUnavailable
from searchapp.models import Dataset, Image, ImageState, Index
from searchapp.services.indexes import lifecycle
from tests.services.indexes.conftest import OTHER, built
from worker.runtime import engines
from worker.runtime.engines import engine_for
from worker.tasks import indexes as indexing
from worker.tasks import ingest

Add = Callable[..., list[Image]]


@pytest.fixture
def engine_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Pipeline and precision of each engine that is asked for, by imports and builds."""
    ways: list[tuple[str, str]] = []

    def noted(name: str, fingerprint: str, precision: str = "") -> Any:
        ways.append((name, precision))
        return engine_for(name, fingerprint)

    monkeypatch.setattr(ingest, "engine_for", noted)
    monkeypatch.setattr(indexing, "engine_for", noted)
    return ways


@pytest.mark.slow
def test_new_pictures_have_the_precision_of_the_index(
    dataset: Dataset, add: Add, engine_calls: list[tuple[str, str]]
) -> None:
    (image,) = add(1)
    engine_calls.clear()
    index = dataset.active_index
    Index.objects.filter(pk=index.pk).update(runtime="openvino", precision="bfloat16")
    Image.objects.filter(pk=image.pk).update(state=ImageState.RECEIVED)
    ingest.process()
    image.refresh_from_db()
    assert image.state == ImageState.READY
    assert engine_calls == [(index.pipeline, "bfloat16")]
    index.refresh_from_db()
    assert (index.runtime, index.precision) == ("openvino", "bfloat16")  # as it was


def test_a_build_that_goes_on_keeps_its_precision(
    dataset: Dataset, add: Add, engine_calls: list[tuple[str, str]]
) -> None:
    add(2)
    index = lifecycle.create_index(dataset, OTHER)
    assert (index.runtime, index.precision) == ("", "")
    Index.objects.filter(pk=index.pk).update(runtime="torch", precision="float32")
    built(index)
    assert {precision for name, precision in engine_calls if name == OTHER} == {"float32"}


def test_a_new_index_takes_what_this_machine_chooses(
    dataset: Dataset, add: Add, engine_calls: list[tuple[str, str]]
) -> None:
    add(1)
    engine_calls.clear()
    index = built(lifecycle.create_index(dataset, OTHER))
    assert next(precision for name, precision in engine_calls if name == OTHER) == ""
    pipeline = engine_for(index.pipeline, index.fingerprint).pipeline
    assert (index.runtime, index.precision) == (pipeline.runtime, pipeline.precision)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The precisions of the pipelines that are loaded, none of which computes anything."""
    precisions: list[str | None] = []

    def load(_name: str, *, runtime: str, precision: str | None = None) -> Any:
        precisions.append(precision)
        if (runtime, precision) == ("onnxruntime", "bfloat16"):
            raise RuntimeUnavailable("onnxruntime computes in float32 here, not bfloat16.")
        return SimpleNamespace(fingerprint="f" * 64, embed=list)

    monkeypatch.setattr(engines, "pipeline", load)
    monkeypatch.setattr(engines, "_engines", {})
    monkeypatch.setattr(engines, "precisions", lambda: ("float32", "bfloat16"))
    return precisions


def test_one_engine_a_precision(loaded: list[str | None]) -> None:
    for _ in range(2):
        for precision in ("", "float32", "bfloat16"):
            engine_for("some", "f" * 64, precision)
    assert loaded == [None, "float32", "bfloat16"]


def test_a_processor_without_the_precision_computes_in_another_and_says_so(
    loaded: list[str | None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engines, "precisions", lambda: ("float32",))
    with caplog.at_level(logging.WARNING, "worker.runtime.engines"):
        engine_for("some", "f" * 64, "bfloat16")
    assert loaded == [None]
    assert "not computed in bfloat16" in caplog.text


def test_so_does_a_runtime_without_it(
    loaded: list[str | None], settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.RUNTIME = "onnxruntime"
    with caplog.at_level(logging.WARNING, "worker.runtime.engines"):
        engine_for("some", "f" * 64, "bfloat16")
    assert loaded == ["bfloat16", None]
    assert "not computed in bfloat16" in caplog.text
