"""A user's own checkpoints: added, checked, loaded and removed."""

import argparse
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from embeddings.errors import EmbeddingsError, InputError, UnknownName, WeightsError
from embeddings.models.cards import card_for_weights, model_card, names
from embeddings.models.checkpoints import unwrap
from embeddings.models.timm_import import timm
from embeddings.models.user_models import add_model, fetch_model, remove_model
from embeddings.models.weights import load_model, weights_path

TENSORS = {"conv.weight": torch.zeros(2), "head.bias": torch.ones(1)}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models folder, which does not exist yet."""
    monkeypatch.setenv("EMBEDDINGS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _state(architecture: str = "test_resnet", **options: Any) -> dict[str, Any]:
    torch.manual_seed(7)
    state: dict[str, Any] = timm().create_model(architecture, **options).state_dict()
    return state


def _safe(folder: Path, state: dict[str, Any]) -> Path:
    path = folder / "mine.safetensors"
    safetensors.torch.save_file(state, path)
    return path


def _torch(folder: Path, content: Any) -> Path:
    path = folder / "mine.pth"
    torch.save(content, path)
    return path


def _refused(code: str, *arguments: Any, **options: Any) -> str:
    with pytest.raises(EmbeddingsError) as caught:
        add_model(*arguments, **options)
    assert caught.value.code == code
    return caught.value.detail


def test_a_model_of_ones_own(tmp_path: Path, home: Path) -> None:
    state = _state()
    path = _safe(tmp_path, state)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    card = add_model(path, "test_resnet", name="mine", licence="MIT", mean=(0.1, 0.2, 0.3))
    path.unlink()  # it was copied
    assert model_card("mine") == card == card_for_weights(digest)
    assert "mine" in names()
    assert (card.dimension, card.pooling, card.layers[0]) == (96, "avg", "features")
    assert (card.input_size, card.mean, card.std) == (160, (0.1, 0.2, 0.3), (0.5, 0.5, 0.5))
    assert (card.interpolation, card.crop_pct, card.licence) == ("bilinear", 0.95, "MIT")
    model = load_model(card)
    assert not model.training
    assert all(torch.equal(state[name], x) for name, x in model.state_dict().items())
    assert sorted(file.name for file in home.iterdir()) == sorted(
        ["mine.json", f"{digest}.safetensors"]
    )
    remove_model("mine")
    assert "mine" not in names()
    assert not list(home.iterdir())
    with pytest.raises(UnknownName):
        model_card("mine")


def test_a_moved_models_folder_still_works(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(_safe(tmp_path, _state()), "test_resnet", name="mine")
    home.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("EMBEDDINGS_HOME", str(tmp_path / "elsewhere"))
    assert load_model(model_card("mine")).num_features == 96


def test_the_folder_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EMBEDDINGS_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    add_model(_safe(tmp_path, _state()), "test_resnet", name="mine")
    assert (tmp_path / "data" / "lookalike-embeddings" / "mine.json").is_file()
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    add_model(tmp_path / "mine.safetensors", "test_resnet", name="mine")
    assert (tmp_path / ".local" / "share" / "lookalike-embeddings" / "mine.json").is_file()


def test_a_training_checkpoint_with_other_classes(tmp_path: Path) -> None:
    state = {f"module.{name}": x for name, x in _state(num_classes=17).items()}
    checkpoint = {"state_dict": state, "epoch": 3, "args": argparse.Namespace(lr=0.1)}
    card = add_model(_torch(tmp_path, checkpoint), "test_resnet.r160_in1k")
    assert card.name == f"test_resnet-{(card.sha256 or '')[:8]}"
    assert (card.architecture, weights_path(card).suffix) == ("test_resnet", ".pth")
    assert load_model(card).num_classes == 17


def test_a_checkpoint_without_a_classifier(tmp_path: Path) -> None:
    card = add_model(_safe(tmp_path, _state(num_classes=0)), "test_resnet", name="headless")
    assert (load_model(card).num_classes, card.dimension) == (0, 96)


@pytest.mark.parametrize(
    ("architecture", "pooling", "dimension"),
    [("test_vit", "cls", 64), ("test_convnext", "head", 64), ("test_efficientnet", "avg", 256)],
)
def test_pooling_is_what_timm_does(
    tmp_path: Path, architecture: str, pooling: str, dimension: int
) -> None:
    card = add_model(_safe(tmp_path, _state(architecture)), architecture)
    assert (card.pooling, card.dimension) == (pooling, dimension)


def test_a_transformer_at_another_size(tmp_path: Path) -> None:
    """Position embeddings are resampled as timm does; the file stays as it is."""
    state = _state("test_vit")
    card = add_model(_safe(tmp_path, state), "test_vit", name="small", input_size=96)
    model = load_model(card)
    assert card.renaming == "timm"
    assert model.pos_embed.shape[1] < state["pos_embed"].shape[1]
    assert model(torch.zeros(1, 3, 96, 96)).shape == (1, 1000)
    # The digest stands for one way of loading only.
    path = tmp_path / "mine.safetensors"
    assert "as the model small" in _refused("model_exists", path, "test_vit", name="large")


def test_the_original_authors_names(tmp_path: Path) -> None:
    """DINOv2's own checkpoints have a mask token, which timm's rule knows to leave out."""
    path = _safe(tmp_path, _state("test_vit") | {"mask_token": torch.zeros(1, 64)})
    card = add_model(path, "test_vit", name="dino")
    assert card.renaming == "timm"
    assert load_model(card).num_features == 64


def test_names_are_not_taken_over(tmp_path: Path) -> None:
    path = _safe(tmp_path, _state())
    card = add_model(path, "test_resnet", name="mine")
    assert add_model(path, "test_resnet", name="mine") == card
    assert "remove-model mine" in _refused(
        "model_exists", path, "test_resnet", name="mine", crop_pct=0.5
    )
    other = _torch(tmp_path, _state(num_classes=3))
    _refused("model_exists", other, "test_resnet", name="mine")
    _refused("model_exists", other, "test_resnet", name="efficientnet-lite0")
    assert model_card("mine") == card


def test_two_names_for_one_file(tmp_path: Path) -> None:
    path = _safe(tmp_path, _state())
    add_model(path, "test_resnet", name="one")
    add_model(path, "test_resnet", name="two")
    remove_model("one")
    assert load_model(model_card("two")).num_features == 96


def test_weights_for_a_model_of_the_library(tmp_path: Path) -> None:
    half = {
        name: x.half() if x.is_floating_point() else x for name, x in _state("resnet50").items()
    }
    path = _safe(tmp_path, half)
    assert "settings" in _refused("bad_input", path, name="resnet50", mean=(0, 0, 0))
    assert "settings" in _refused("bad_input", path, "resnet18", name="resnet50")
    card = add_model(path, name="resnet50")
    assert card == model_card("resnet50") == card_for_weights(card.sha256 or "")
    assert card.layers == ("features", "layer3", "layer2")
    assert load_model(card).num_features == 2048
    assert fetch_model("resnet50") == card  # nothing to fetch any more
    remove_model("resnet50")
    assert model_card("resnet50").sha256 is None
    with pytest.raises(InputError, match="comes with the library"):
        remove_model("resnet50")


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    state = _state()
    state["extra.weight"] = state.pop("layer1.0.bn1.weight")
    detail = _refused("weights_mismatch", _safe(tmp_path, state), "test_resnet")
    assert "missing: layer1.0.bn1.weight; unexpected: extra.weight." in detail
    state = _state(in_chans=1)
    detail = _refused("weights_mismatch", _safe(tmp_path, state), "test_resnet")
    assert "conv1.0.weight" in detail
    assert "instead of" in detail
    detail = _refused("weights_mismatch", _safe(tmp_path, _state("test_vit")), "test_resnet")
    assert "another architecture" in detail
    assert "more" in detail
    assert len(detail) < 600


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    state = {name: x * float("nan") for name, x in _state().items()}
    detail = _refused("weights_mismatch", _safe(tmp_path, state), "test_resnet")
    assert "no finite numbers" in detail


def test_unknown_architectures_come_with_the_nearest(tmp_path: Path) -> None:
    path = _safe(tmp_path, _state())
    with pytest.raises(UnknownName) as caught:
        add_model(path, "test_resnt")
    assert "test_resnet" in caught.value.nearest
    with pytest.raises(UnknownName, match=r"test_resnet\.r160_in1k"):
        add_model(path, "test_resnet.r160_in2k")
    with pytest.raises(UnknownName):  # never asked of the hub
        add_model(path, "hf-hub:timm/test_resnet")
    assert "timm" in _refused("bad_input", path)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, home: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    path = _torch(tmp_path, {"state_dict": _state(), "extra": Bomb()})
    assert "run code" in _refused("weights_unsafe", path, "test_resnet")
    assert not (tmp_path / "ran").exists()
    assert not home.exists()


@pytest.mark.parametrize("save", [_safe, _torch])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_files_are_refused(tmp_path: Path, save: Any, share: float) -> None:
    path = save(tmp_path, _state())
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert path.name in _refused("weights_damaged", path, "test_resnet")


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n", b"<!DOCTYPE html>", b"version https"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pth").write_bytes(content * 9)
    _refused("weights_damaged", tmp_path / "x.pth", "test_resnet")


@pytest.mark.parametrize("content", [[], {}, 3, {"epoch": 3}, {"weight": "text"}])
def test_checkpoints_of_something_else_are_refused(tmp_path: Path, content: Any) -> None:
    _refused("weights_mismatch", _torch(tmp_path, content), "test_resnet")


def test_a_tensor_that_claims_more_than_it_holds(tmp_path: Path) -> None:
    huge = torch.zeros(1).expand(10**9, 96)
    path = _torch(tmp_path, _state() | {"fc.weight": huge})
    assert "fc.weight" in _refused("weights_mismatch", path, "test_resnet")


@pytest.mark.parametrize(
    "options",
    [
        {"mean": (0.5, 0.5)},
        {"mean": (0.5, 0.5, float("nan"))},
        {"std": (0.5, 0.5, 0)},
        {"input_size": 0},
        {"crop_pct": 0},
        {"name": "../mine"},
        {"name": ""},
        {"name": "Mine"},
    ],
)
def test_arguments_that_cannot_be(tmp_path: Path, options: dict[str, Any]) -> None:
    _refused("bad_input", _safe(tmp_path, _state()), "test_resnet", **options)


def test_a_missing_file(tmp_path: Path) -> None:
    assert "none.pth" in _refused("weights_missing", tmp_path / "none.pth", "test_resnet")


def test_a_changed_file_is_not_loaded(tmp_path: Path) -> None:
    card = add_model(_safe(tmp_path, _state()), "test_resnet")
    data = bytearray(weights_path(card).read_bytes())
    data[-1] ^= 1
    weights_path(card).write_bytes(data)
    with pytest.raises(WeightsError) as caught:
        load_model(card)
    assert caught.value.code == "weights_mismatch"
    weights_path(card).unlink()
    with pytest.raises(WeightsError) as caught:
        load_model(card)
    assert caught.value.code == "weights_missing"


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"weights": {"source": "moon"}}'])
def test_a_damaged_card_harms_no_other_model(tmp_path: Path, home: Path, damage: str) -> None:
    card = add_model(_safe(tmp_path, _state()), "test_resnet", name="mine")
    (home / "other.json").write_text(damage)
    with pytest.raises(WeightsError) as caught:
        model_card("other")
    assert caught.value.code == "card_damaged"
    assert card_for_weights(card.sha256 or "") == card
    remove_model("other")
    assert "other" not in names()


def test_a_card_is_plain_json(tmp_path: Path, home: Path) -> None:
    card = add_model(_safe(tmp_path, _state()), "test_resnet", name="mine")
    saved = json.loads((home / "mine.json").read_text())
    assert saved["weights"] == {"source": "file", "path": f"{card.sha256}.safetensors"}
    assert saved["sha256"] == card.sha256


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EMBEDDINGS_HOME", str(tmp_path / "file" / "home"))
    detail = _refused("folder_unwritable", _safe(tmp_path, _state()), "test_resnet")
    assert "EMBEDDINGS_HOME" in detail


@given(
    st.lists(st.sampled_from(["module.", "_orig_mod.", "model."]), max_size=3),
    st.lists(st.sampled_from(["state_dict", "model", "state_dict_ema", "module"]), max_size=3),
)
def test_wrappers_do_not_count(prefixes: list[str], wrappers: list[str]) -> None:
    wrapped: Any = {"".join(prefixes) + name: x for name, x in TENSORS.items()}
    for wrapper in wrappers:
        wrapped = {wrapper: wrapped, "epoch": 3}
    assert unwrap(wrapped, "x") == TENSORS


def test_a_checkpoint_that_holds_itself_ends() -> None:
    endless: dict[str, Any] = {}
    endless["model"] = endless
    with pytest.raises(WeightsError):
        unwrap(endless, "x")
