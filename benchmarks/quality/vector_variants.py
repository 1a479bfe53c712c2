"""Embedding variants that `quality` compares: poolings, crops, hashes, whitening.

A variant maps N images to unit vectors, float32 (N, D). Variants that share the model's work form
a group, which returns them by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import imagehash
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from embeddings.models.batch_norm_folding import fold_batch_norms
from embeddings.models.cards import model_card
from embeddings.models.weights import load_model
from embeddings.pipelines import pipeline
from embeddings.thread_count import apply_threads

Pictures = Sequence[Image.Image]
Vectors = npt.NDArray[np.float32]
Group = Callable[[Pictures], Mapping[str, Vectors]]

_AT_ONCE = 4  # images per forward pass: more do not fit into the CPU's caches
_EARLIER = 4  # the stage of blocks, from 0, before the model's last downsampling
_GEM_POWER = 3.0
_WHITE_DIMENSIONS = 128


def unit(vectors: npt.NDArray[Any]) -> Vectors:
    """Scale rows to length one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled


def group_of(name: str) -> Group:
    """Return a pipeline of the library as a group of one."""
    embed = pipeline(name)
    return lambda pictures: {name: embed(list(pictures))}


def hashes(pictures: Pictures) -> Mapping[str, Vectors]:
    """Perceptual hashes as vectors of 64 signs: the cosine is 1 - distance / 32."""
    hashers: dict[str, Callable[[Image.Image], Any]] = {
        "pHash": imagehash.phash,
        "dHash": imagehash.dhash,
    }
    return {
        name: unit(np.stack([make(picture).hash.ravel() * 2.0 - 1.0 for picture in pictures]))
        for name, make in hashers.items()
    }


class Models:
    """Variants of EfficientNet-Lite0; the model runs once on each view of an image."""

    def __init__(self) -> None:
        card = model_card("efficientnet-lite0")
        self._size, self._short = card.input_size, math.floor(card.input_size / card.crop_pct)
        model: Any = fold_batch_norms(load_model(card))
        self._model = model.to(memory_format=torch.channels_last)
        apply_threads()

    def __call__(self, pictures: Pictures) -> Mapping[str, Vectors]:
        scaled = [self._scaled(picture) for picture in pictures]
        middles = [self._middle(picture) for picture in scaled]
        squashed = [self._squashed(picture) for picture in pictures]
        centre, squash = self._pooled(middles), self._pooled(squashed)
        mirrored = self._pooled([_mirrored(picture) for picture in middles])
        squash_mirrored = self._pooled([_mirrored(picture) for picture in squashed])
        corners = [
            self._pooled([self._corner(picture, right, bottom) for picture in scaled])
            for right in (False, True)
            for bottom in (False, True)
        ]
        crops = {
            pooling: sum((corner[pooling] for corner in corners), centre[pooling])
            for pooling in ("avg", "gem")
        }
        return {
            "exact": unit(centre["avg"]),
            "squash": unit(squash["avg"]),
            "five crops": unit(crops["avg"]),
            "flip": unit(centre["avg"] + mirrored["avg"]),
            "GeM": unit(centre["gem"]),
            "five crops, GeM": unit(crops["gem"]),
            "flip, GeM": unit(centre["gem"] + mirrored["gem"]),
            "earlier layer": unit(centre["earlier"]),
            "exact + earlier": unit(np.hstack([unit(centre["avg"]), unit(centre["earlier"])])),
            "squash, flip": unit(squash["avg"] + squash_mirrored["avg"]),
            "squash, GeM": unit(squash["gem"]),
            "squash, flip, GeM": unit(squash["gem"] + squash_mirrored["gem"]),
        }

    def _pooled(self, views: Pictures) -> dict[str, Vectors]:
        """The last map averaged and GeM-pooled, and an earlier one averaged; (N, D) each."""
        pooled: dict[str, list[Vectors]] = {"avg": [], "gem": [], "earlier": []}
        for start in range(0, len(views), _AT_ONCE):
            pixels = np.stack([np.asarray(view) for view in views[start : start + _AT_ONCE]])
            with torch.inference_mode():
                x = torch.from_numpy(pixels).permute(0, 3, 1, 2)
                x = x.to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1
                x = self._model.bn1(self._model.conv_stem(x))
                for stage, blocks in enumerate(self._model.blocks):
                    x = blocks(x)
                    if stage == _EARLIER:
                        pooled["earlier"].append(x.mean(dim=(2, 3)).numpy())
                last = self._model.bn2(self._model.conv_head(x))
                pooled["avg"].append(last.mean(dim=(2, 3)).numpy())
                powered = last.clamp(min=1e-6).pow(_GEM_POWER).mean(dim=(2, 3))
                pooled["gem"].append(powered.pow(1 / _GEM_POWER).numpy())
        return {name: np.concatenate(parts) for name, parts in pooled.items()}

    def _scaled(self, picture: Image.Image) -> Image.Image:
        """Resize as timm does: the short side to 256 for a crop of 224, rounded down."""
        short = min(picture.size)
        width, height = (int(self._short * side / short) for side in picture.size)
        return picture.resize((width, height), Image.Resampling.BICUBIC)

    def _cut(self, scaled: Image.Image, left: int, top: int) -> Image.Image:
        return scaled.crop((left, top, left + self._size, top + self._size))

    def _middle(self, scaled: Image.Image) -> Image.Image:
        left, top = (round((side - self._size) / 2) for side in scaled.size)
        return self._cut(scaled, left, top)

    def _corner(self, scaled: Image.Image, right: bool, bottom: bool) -> Image.Image:
        left = scaled.width - self._size if right else 0
        top = scaled.height - self._size if bottom else 0
        return self._cut(scaled, left, top)

    def _squashed(self, picture: Image.Image) -> Image.Image:
        return picture.resize((self._size, self._size), Image.Resampling.BICUBIC)


def _mirrored(picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def whitening(gallery: Vectors) -> Callable[[Vectors], Vectors]:
    """PCA whitening fitted on the gallery (N, D): unit vectors (M, D) to (M, at most 128).

    Fewer dimensions than images, because the smallest components of a small gallery are noise
    that whitening would amplify.
    """
    mean = gallery.mean(axis=0)
    _, deviations, axes = np.linalg.svd(gallery - mean, full_matrices=False)
    dimensions = min(_WHITE_DIMENSIONS, len(gallery) // 2, len(axes))
    white = axes[:dimensions].T / np.maximum(deviations[:dimensions], 1e-6)
    return lambda vectors: unit((vectors - mean) @ white)
