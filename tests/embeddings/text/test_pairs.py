"""CLIP and SigLIP: a picture tower of timm's beside a text tower of transformers', offline.

Their weights are not here: small towers of random numbers, built by timm and transformers, go
the same way.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from embeddings import Pipeline, ops, pipeline, recipe, text_encoder
from embeddings.cli.main import main
from embeddings.errors import EmbeddingsError, InputError, RecipeError, UnknownName, WeightsError
from embeddings.models.cards import model_card
from embeddings.models.timm_import import timm
from embeddings.models.user_models import add_model
from embeddings.text.tower_files import FILES, text_tower
from embeddings.text.user_towers import add_text_tower, fetch_text_tower, remove_text_tower
from harness.installation import ROOT

WORDS = ("a", "red", "car", "blue", "dog", "two", "on", "the", "street")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 12,
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models folder, which does not exist yet."""
    monkeypatch.setenv("EMBEDDINGS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _tokenizer(kind: str) -> Any:
    begin, end = ("<|startoftext|>", "<|endoftext|>") if kind == "clip" else ("<pad>", "</s>")
    vocabulary = {word: place for place, word in enumerate(("[UNK]", *WORDS, begin, end))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    form = f"{begin} $A {end}" if kind == "clip" else f"$A {end}"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=form, special_tokens=[(one, vocabulary[one]) for one in (begin, end)]
    )
    return tokenizer


def _model(kind: str, width: int, whole: bool) -> Any:
    """A tower of random numbers; `whole` as the hub's files have it, with the picture's side."""
    timm()
    import transformers

    tokenizer = _tokenizer(kind)
    end = tokenizer.token_to_id("<|endoftext|>" if kind == "clip" else "</s>")
    settings = {**SMALL, "vocab_size": 12, "bos_token_id": 10, "eos_token_id": end}
    torch.manual_seed(5)
    if kind == "clip":
        text: Any = transformers.CLIPTextConfig(**settings, projection_dim=width)
        if not whole:
            return transformers.CLIPTextModelWithProjection(text)
        vision = {**SMALL, "image_size": 32, "patch_size": 16}
        del vision["max_position_embeddings"]
        return transformers.CLIPModel(
            transformers.CLIPConfig(
                text_config=text.to_dict(), vision_config=vision, projection_dim=width
            )
        )
    text = transformers.SiglipTextConfig(**settings, pad_token_id=end, projection_size=width)
    if not whole:
        return transformers.SiglipTextModel(text)
    vision = {**SMALL, "image_size": 32, "patch_size": 16}
    del vision["max_position_embeddings"]
    return transformers.SiglipModel(
        transformers.SiglipConfig(text_config=text.to_dict(), vision_config=vision)
    )


def _tower(folder: Path, kind: str, width: int = 48, whole: bool = True) -> Any:
    """Write the three files of a repository; return transformers' own module."""
    folder.mkdir(parents=True, exist_ok=True)
    model = _model(kind, width, whole).eval()
    state = {name: x.contiguous() for name, x in model.state_dict().items()}
    safetensors.torch.save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(model.config.to_dict()))
    _tokenizer(kind).save(str(folder / "tokenizer.json"))
    return model


def _pictures(folder: Path, kind: str, width: int = 48) -> str:
    """Add a vision transformer of random numbers whose head is `width` wide; return its name."""
    torch.manual_seed(6)
    options: dict[str, Any] = {"num_classes": width}
    if kind == "siglip":  # no classes: what is pooled is joint already
        options, width = {"num_classes": 0}, 64
    state = timm().create_model("test_vit", **options).state_dict()
    safetensors.torch.save_file(state, folder / "pictures.safetensors")
    name = f"my-{kind}"
    card = add_model(folder / "pictures.safetensors", "test_vit", name=name, text_tower=kind)
    assert (card.head, card.head_dimension) == (kind, width)
    return name


def _picture() -> Any:
    return np.random.default_rng(3).integers(0, 256, (200, 170, 3), np.uint8)


def _refused(code: str, call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(EmbeddingsError) as caught:
        call(*arguments, **options)
    assert caught.value.code == code, caught.value.detail
    return caught.value.detail


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "width"), [("clip", 48), ("siglip", 64)])
@pytest.mark.parametrize("whole", [True, False])
def test_a_pair_from_end_to_end(tmp_path: Path, kind: str, width: int, whole: bool) -> None:
    theirs = _tower(tmp_path / "tower", kind, width, whole)
    name = _pictures(tmp_path, kind)
    add_text_tower(name, tmp_path / "tower")
    for path in (tmp_path / "tower").iterdir():  # they were copied
        path.unlink()

    both = pipeline(f"image-embedding-{name}", runtime="torch").with_text()
    vectors = both([_picture(), _picture()[::-1]])
    assert (vectors.image.shape, vectors.text.shape) == ((2, 64), (2, width))
    alone = pipeline(f"image-embedding-{name}:text", runtime="torch")
    assert alone.fingerprint == both.text_fingerprint
    assert (alone([_picture(), _picture()[::-1]]) * vectors.text).sum(axis=1).min() > 0.9999

    encoder = text_encoder(f"image-embedding-{name}:text")
    assert encoder.fingerprint == both.text_fingerprint
    assert not encoder.approximate
    assert (encoder.dimension, encoder.max_tokens) == (width, 12)
    texts = ["a red car", "two blue dog on the street", "dog " * 30]
    ours = encoder.encode(texts)
    assert ours.shape == (3, width)
    assert (vectors.text @ ours.T).shape == (2, 3)
    assert encoder.tokens("a red car") == (5 if kind == "clip" else 4)
    for text, vector in zip(texts, ours, strict=True):
        assert vector @ encoder.encode(text) > 0.99999
        assert vector @ _expected(theirs, kind, text) > 0.99999


def _expected(model: Any, kind: str, text: str) -> Any:
    """What transformers itself gives for one text."""
    tokenizer = _tokenizer(kind)
    tokenizer.enable_truncation(12)
    if kind == "siglip":
        end = tokenizer.token_to_id("</s>")
        tokenizer.enable_padding(length=12, pad_id=end, pad_token="</s>")
    ids = torch.tensor([tokenizer.encode(text).ids])
    with torch.inference_mode():
        if hasattr(model, "get_text_features"):
            output = model.get_text_features(input_ids=ids).pooler_output
        else:
            output = model(input_ids=ids)
            output = output.text_embeds if kind == "clip" else output.pooler_output
    return torch.nn.functional.normalize(output[0], dim=0).numpy()


def test_the_head_is_timms_own(tmp_path: Path) -> None:
    """What stands beside texts is what timm's model gives as its logits."""
    name = _pictures(tmp_path, "clip")
    alone = pipeline(f"image-embedding-{name}:text", runtime="torch")
    model = timm().create_model("test_vit", num_classes=48).eval()
    model.load_state_dict(safetensors.torch.load_file(tmp_path / "pictures.safetensors"))
    card = model_card(name)
    x = torch.from_numpy(alone.prepare(alone.decode(_png()).image))[None] / 255
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (card.mean, card.std))
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(model((x - mean) / std)[0], dim=0).numpy()
    assert expected @ alone(_png()) > 0.9999


def _png() -> bytes:
    out = io.BytesIO()
    Image.fromarray(_picture()).save(out, "PNG")
    return out.getvalue()


def test_a_tower_in_a_folder_that_was_not_added(tmp_path: Path) -> None:
    _tower(tmp_path / "tower", "clip")
    name = _pictures(tmp_path, "clip")
    encoder = text_encoder(f"image-embedding-{name}:text", folder=tmp_path / "tower")
    operator = ops.text_embedding.clip(folder=tmp_path / "tower")
    graph = Pipeline.input("text").map("text", "vector", operator).output("vector")
    assert graph("a red car") @ encoder.encode("a red car") > 0.99999
    assert "tower" not in json.dumps(graph.recipe)  # the location is not part of the recipe
    with pytest.raises(UnknownName):
        Pipeline.from_recipe(graph.recipe)("a red car")
    local = {"text_embedding.clip": {"folder": str(tmp_path / "tower")}}
    assert (
        Pipeline.from_recipe(graph.recipe, local=local)("a red car") @ graph("a red car") > 0.9999
    )
    add_text_tower(name, tmp_path / "tower")
    again = Pipeline.from_recipe(graph.recipe)
    assert again("a red car") @ graph("a red car") > 0.99999
    assert ops.text_embedding.clip(name).recipe == operator.recipe
    with pytest.raises(RecipeError, match="is no siglip"):
        ops.text_embedding.siglip(name)
    _tower(tmp_path / "other", "clip", 24)
    local = {"text_embedding.clip": {"folder": str(tmp_path / "other")}}
    with pytest.raises(RecipeError, match="another text tower"):
        Pipeline.from_recipe(graph.recipe, local=local)("a red car")


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    name = _pictures(tmp_path, "clip")
    detail = _refused("weights_missing", text_encoder, f"image-embedding-{name}:text")
    assert all(file in detail for file in FILES)
    assert f"add-text-tower {name} --from FOLDER" in detail
    detail = _refused("weights_missing", text_tower, "clip-vit-b32")
    assert "openai/clip-vit-base-patch32" in detail
    assert "fetch-model clip-vit-b32 --text" in detail
    _refused("weights_missing", recipe, "image-embedding-clip-vit-b32:text")
    _refused("weights_missing", fetch_text_tower, "siglip-base-p16-224")  # HF_HUB_OFFLINE is set
    _refused("bad_input", fetch_text_tower, name)
    _refused("bad_input", text_tower, "efficientnet-lite0")
    _refused("bad_input", remove_text_tower, name)
    _refused("bad_input", add_text_tower, name, tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    _refused("weights_missing", add_text_tower, name, tmp_path / "empty")


def test_towers_that_are_no_pair_are_refused(tmp_path: Path, home: Path) -> None:
    name = _pictures(tmp_path, "clip")
    _tower(tmp_path / "tower", "clip", 24)
    before = sorted(home.iterdir())
    detail = _refused("weights_mismatch", add_text_tower, name, tmp_path / "tower")
    assert "24 numbers" in detail
    with pytest.raises(WeightsError, match="no pair"):
        text_encoder(f"image-embedding-{name}:text", folder=tmp_path / "tower")
    _tower(tmp_path / "siglip", "siglip")
    _refused("weights_mismatch", add_text_tower, name, tmp_path / "siglip")
    assert sorted(home.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("model.safetensors", b"\x80\x05N.", "weights_damaged"),
        ("model.safetensors", b"", "weights_damaged"),
        ("config.json", b"no json", "weights_damaged"),
        ("config.json", b"[]", "weights_damaged"),
        ("config.json", b'{"hidden_size": "wide"}', "weights_mismatch"),
        ("config.json", b"{}", "weights_mismatch"),
        ("tokenizer.json", b"{}", "weights_damaged"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    model = _pictures(tmp_path, "clip")
    _tower(tmp_path / "tower", "clip")
    (tmp_path / "tower" / name).write_bytes(content)
    _refused(code, add_text_tower, model, tmp_path / "tower")


def test_a_changed_file_is_not_used(tmp_path: Path, home: Path) -> None:
    name = _pictures(tmp_path, "clip")
    _tower(tmp_path / "tower", "clip")
    files = add_text_tower(name, tmp_path / "tower")
    place = files.places["model.safetensors"]
    assert place.parent == home
    data = bytearray(place.read_bytes())
    data[-1] ^= 1
    place.write_bytes(data)
    detail = _refused("weights_mismatch", text_tower(name).read, "model.safetensors")
    assert "is expected" in detail
    (home / f"{name}.tower").write_text("{}")
    _refused("card_damaged", text_tower, name)
    assert model_card(name).name == name  # a damaged tower harms no model


def test_a_tower_is_forgotten(tmp_path: Path, home: Path) -> None:
    name = _pictures(tmp_path, "clip")
    before = sorted(home.iterdir())
    _tower(tmp_path / "tower", "clip")
    add_text_tower(name, tmp_path / "tower")
    assert len(list(home.iterdir())) == len(before) + 4
    remove_text_tower(name)
    assert sorted(home.iterdir()) == before


def test_a_tower_is_removed_from_the_command_line(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = _pictures(tmp_path, "clip")
    before = sorted(home.iterdir())
    _tower(tmp_path / "tower", "clip")
    add_text_tower(name, tmp_path / "tower")
    (tmp_path / "outside.tower").write_bytes((home / f"{name}.tower").read_bytes())
    assert main(["remove-text-tower", name]) == 0
    assert sorted(home.iterdir()) == before
    assert main(["remove-text-tower", name]) == 1
    assert main(["remove-text-tower", "../outside"]) == 1
    captured = capsys.readouterr()
    assert captured.out == f"Removed the text tower of {name}.\n"
    none, wrong = captured.err.splitlines()
    assert none == f"error: {name} has no text tower in the models folder."
    assert wrong.startswith("error: A model's name is")
    assert (tmp_path / "outside.tower").exists()


def test_a_tower_kind_that_there_is_not(tmp_path: Path) -> None:
    state = timm().create_model("test_vit").state_dict()
    safetensors.torch.save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(UnknownName, match="clip"):
        add_model(tmp_path / "x.safetensors", "test_vit", text_tower="clipp")


def test_words_are_cleaned_as_siglip_was_trained(tmp_path: Path) -> None:
    _tower(tmp_path / "tower", "siglip", 64)
    name = _pictures(tmp_path, "siglip")
    encoder = text_encoder(f"image-embedding-{name}:text", folder=tmp_path / "tower")
    assert encoder.encode("A  RED, car!") @ encoder.encode("a red car") > 0.99999
    with pytest.raises(InputError):
        encoder.encode("  ")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a server that serves a tower's files as the hub does; the paths requested."""
    _tower(tmp_path / "served", "clip", 512)
    paths: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            paths.append(self.path)
            start = "/openai/clip-vit-base-patch32/resolve/main/"
            name = self.path.removeprefix(start)
            self.data = (tmp_path / "served" / name).read_bytes() if name in FILES else b""
            self.send_response(200 if self.data else 404)
            self.send_header("ETag", f'"{hashlib.sha256(self.data).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(self.data)))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(self.data)

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", paths
        server.shutdown()
        thread.join()


@pytest.mark.long
def test_a_tower_of_the_hub(tmp_path: Path, hub: tuple[str, list[str]]) -> None:
    """Fetched once, in a process of its own; from then on found without a hub."""
    address, paths = hub
    environment = os.environ | {
        "HF_HOME": str(tmp_path / "cache"),
        "HF_ENDPOINT": address,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    code = (
        "from embeddings.text.tower_files import text_tower\n"
        "from embeddings.text.user_towers import fetch_text_tower\n"
        "files = fetch_text_tower('clip-vit-b32')\n"
        "assert text_tower('clip-vit-b32').digests == files.digests\n"
        "print(files.digests.weights_sha256, str(files.places['config.json']).split('/')[-2])\n"
    )

    def said(offline: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=environment | {"HF_HUB_OFFLINE": offline},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    digest = hashlib.sha256((tmp_path / "served" / "model.safetensors").read_bytes()).hexdigest()
    assert said("0") == f"{digest} {COMMIT}\n"
    file_names = {path.rpartition("/")[2] for path in paths if path.startswith("/openai/")}
    assert file_names == set(FILES)
    paths.clear()
    assert said("0") == said("1") == f"{digest} {COMMIT}\n"
    assert not paths
