"""MiniLM as a torch module of torch's own transformer layers.

The tensors are those of the package under torch's names. transformers would give the same model,
but importing it takes five more seconds and 40 MB.
"""

from typing import Any

import torch
from torch import nn

from embeddings.errors import WeightsError
from embeddings.models.checkpoints import tensors

_LAYERS, _WIDTH, _HEADS, _INNER = 6, 384, 12, 1536
_WORDS, _PLACES, _KINDS = 30522, 512, 2
_EPS = 1e-12


class Sentences(nn.Module):
    """Tokens and mask, int64 (N, L), to the mean of the tokens' vectors, unit length (N, 384)."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(_WORDS, _WIDTH)
        self.places = nn.Embedding(_PLACES, _WIDTH)
        self.kinds = nn.Embedding(_KINDS, _WIDTH)
        self.norm = nn.LayerNorm(_WIDTH, eps=_EPS)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                _WIDTH, _HEADS, _INNER, 0.0, "gelu", layer_norm_eps=_EPS, batch_first=True
            )
            for _ in range(_LAYERS)
        )

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.words(ids) + self.places(places) + self.kinds.weight[0]
        x = self.norm(x)
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=mask == 0)
        weights = mask[..., None].to(x.dtype)
        return nn.functional.normalize((x * weights).sum(1) / weights.sum(1), dim=1)


def module(data: bytes) -> Sentences:
    """Return the module with the tensors of the package's file. Raises `WeightsError`."""
    original = tensors(data, "model.safetensors")
    model = Sentences()
    try:
        model.load_state_dict(_renamed(original), strict=True)
    except (KeyError, RuntimeError) as error:
        raise WeightsError(
            "weights_mismatch", f"These are not MiniLM's tensors: {error}"
        ) from error
    return model.eval()


def _renamed(original: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Rename BERT's tensors to torch's; query, key and value are one tensor there."""
    state = {
        "words.weight": original["embeddings.word_embeddings.weight"],
        "places.weight": original["embeddings.position_embeddings.weight"],
        "kinds.weight": original["embeddings.token_type_embeddings.weight"],
    }
    alike = {
        "self_attn.out_proj": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm2": "output.LayerNorm",
    }
    for kind in ("weight", "bias"):
        state[f"norm.{kind}"] = original[f"embeddings.LayerNorm.{kind}"]
        for number in range(_LAYERS):
            ours, theirs = f"layers.{number}.", f"encoder.layer.{number}."
            state[f"{ours}self_attn.in_proj_{kind}"] = torch.cat(
                [original[f"{theirs}attention.self.{x}.{kind}"] for x in ("query", "key", "value")]
            )
            for our, their in alike.items():
                state[f"{ours}{our}.{kind}"] = original[f"{theirs}{their}.{kind}"]
    return state
