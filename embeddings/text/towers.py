"""The text towers of CLIP and SigLIP: loaded from three files whose digests are checked.

The files are those of a Hugging Face repository: `model.safetensors` (of the text tower alone, or
of the whole model), `config.json` and `tokenizer.json`. transformers provides the modules and
tokenizers the tokens; neither accesses the hub here.
"""

import contextlib
import json
import logging
import string
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings import thread_count
from embeddings.errors import WeightsError
from embeddings.models.cards import model_card
from embeddings.models.checkpoints import is_safetensors, tensors
from embeddings.models.timm_import import timm
from embeddings.runtimes.loader import check_process, note_model
from embeddings.text import tokenization
from embeddings.text.tower_files import TowerFiles, kind_of

_BUFFER = "text_model.embeddings.position_ids"  # only in older checkpoints, not in the module
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_END = "</s>"  # ends and pads SigLIP's texts


@dataclass(frozen=True)
class _Kind:
    """How a kind of tower is built: names in transformers."""

    config: str
    module: str
    width: str  # the setting with the length of a vector


_KINDS: Mapping[str, _Kind] = {
    "clip": _Kind("CLIPTextConfig", "CLIPTextModelWithProjection", "projection_dim"),
    "siglip": _Kind("SiglipTextConfig", "SiglipTextModel", "projection_size"),
}


class Tower:
    """A loaded text tower; thread-safe. Create it with `tower()`, which shares it."""

    runtime = "torch"

    def __init__(self, kind: str, files: TowerFiles) -> None:
        """Raises `PackageMissing`, and `WeightsError` for files that do not fit."""
        self._kind = kind
        settings = _settings(files.read("config.json"), _KINDS[kind])
        weights = files.read("model.safetensors")
        self._module = _module(_KINDS[kind], settings, weights)
        config = self._module.config
        self.dimension = int(getattr(config, _KINDS[kind].width))
        self.max_tokens = int(config.max_position_embeddings)
        tokenizer = files.read("tokenizer.json")
        self._tokenizer = tokenization.tokenizer(tokenizer, "tokenizer.json", self.max_tokens)
        self._uncut = tokenization.tokenizer(tokenizer, "tokenizer.json", self.max_tokens)
        self._uncut.no_truncation()
        for one in (self._tokenizer, self._uncut):
            one.no_padding()
        self._filling = 0
        if kind == "siglip":
            end = self._tokenizer.token_to_id(_END)
            if end is None:
                raise WeightsError(
                    "weights_mismatch", f"SigLIP's tokenizer has a token {_END}; this one has none."
                )
            self._filling = int(end)
        self._one_at_a_time = threading.Lock()

    def tokens(self, text: str) -> int:
        """Return the number of tokens, including those of beginning and end."""
        return len(self._uncut.encode(*self._clean([text])))

    def batch(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """N texts to float32 (N, dimension) of unit length; only their first tokens count.

        Raises `InputError` for non-strings and empty texts, `RuntimeUnavailable` after a fork.
        """
        check_process()
        encoded = [one.ids for one in self._tokenizer.encode_batch(self._clean(texts))]
        chunks = [
            self._computed(encoded[start : start + tokenization.AT_ONCE])
            for start in range(0, len(encoded), tokenization.AT_ONCE)
        ]
        return np.concatenate([np.empty((0, self.dimension), np.float32), *chunks])

    def _clean(self, texts: Sequence[str]) -> list[str]:
        """Return the texts; for SigLIP in lower case without punctuation, as in training."""
        known = tokenization.checked(texts)
        if self._kind == "clip":
            return known
        return [" ".join(text.lower().translate(_PUNCTUATION).split()) for text in known]

    def _computed(self, encoded: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        import torch

        # SigLIP was trained on texts of one length, and attends to the padding.
        full = self._kind == "siglip"
        length = self.max_tokens if full else max(map(len, encoded))
        ids = torch.full((len(encoded), length), self._filling, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, one in enumerate(encoded):
            ids[row, : len(one)] = torch.tensor(one)
            mask[row, : len(one)] = 1
        if full:
            ids[:, -1] = self._filling
        with torch.inference_mode(), self._one_at_a_time:
            outputs = self._module(input_ids=ids, attention_mask=None if full else mask)
        vectors = outputs.pooler_output if full else outputs.text_embeds
        return tokenization.unit(vectors.to(torch.float32).numpy())


_shared: dict[tuple[str, ...], Tower] = {}
_loading = threading.RLock()


def tower(kind: str, files: TowerFiles) -> Tower:
    """Return the tower of these files, loaded once per process. Raises what the class raises."""
    check_process()
    key = (kind, *astuple(files.digests))
    with _loading:
        if key not in _shared:
            _shared[key] = Tower(kind, files)
            note_model()
        return _shared[key]


def check_pair(model: str, files: TowerFiles) -> None:
    """Raise `WeightsError` (`weights_mismatch`) when the tower's vectors and those of the model's
    pictures differ in length, and what loading the tower raises."""
    loaded = tower(kind_of(model), files)
    expected = model_card(model).head_dimension
    if loaded.dimension != expected:
        raise WeightsError(
            "weights_mismatch",
            f"This text tower gives vectors of {loaded.dimension} numbers, {model} of {expected}: "
            "they are no pair.",
        )


def _settings(data: bytes, kind: _Kind) -> dict[str, Any]:
    """Return the text tower's part of a configuration. Raises `WeightsError`."""
    try:
        whole = json.loads(data)
        settings = dict(whole.get("text_config", whole))
    except (ValueError, TypeError, AttributeError) as error:
        raise WeightsError(
            "weights_damaged", f"config.json is no model's configuration: {error}."
        ) from error
    if kind.width in whole:  # CLIP's repositories state it for the whole model
        settings[kind.width] = whole[kind.width]
    return settings


def _module(kind: _Kind, settings: dict[str, Any], data: bytes) -> Any:
    """Return the module in evaluation mode, float32, every tensor from the file (strict)."""
    if not is_safetensors(data):
        raise WeightsError(
            "weights_damaged", "A text tower's weights are a .safetensors file; this is none."
        )
    timm()  # its import repairs a broken torchvision, which transformers imports
    transformers = tokenization.needed("transformers")
    state = tensors(data, "model.safetensors")
    with _silent():
        try:
            model = getattr(transformers, kind.module)(
                getattr(transformers, kind.config).from_dict(settings)
            )
        except Exception as error:  # invalid settings fail in many ways
            raise WeightsError(
                "weights_mismatch", f"config.json describes no text tower: {error}."
            ) from error
    try:
        model.load_state_dict(_of_text(state, model.state_dict()), strict=True)
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise WeightsError(
            "weights_mismatch",
            "The file does not hold the text tower that config.json describes: "
            f"{lines[-1].strip()}",
        ) from error
    thread_count.apply_threads()
    return model.float().eval()


def _of_text(stored: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors of the text tower, under the module's names."""
    prefix = "text_model."
    named = any(name.startswith(prefix) for name in expected)
    state = {}
    for name, tensor in stored.items():
        if name.startswith((prefix, "text_projection.")) and name != _BUFFER:
            state[name if named else name.removeprefix(prefix)] = tensor
    return state or dict(stored)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Silence transformers, which warns of token numbers in SigLIP's published configurations."""
    logger = logging.getLogger("transformers")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
