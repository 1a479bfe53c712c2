"""Shared by the timm peers: the model, the transform, and the loop that answers requests."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from embeddings.models.cards import model_card
from embeddings.models.timm_import import timm
from embeddings.models.weights import load_model

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Parts:
    """timm's own transform, and timm's own model with the library's weights, unchanged."""

    transform: Callable[[Image.Image], torch.Tensor]
    model: Any

    def pixels(self, path: str) -> torch.Tensor:
        """The model's input for a file, float32 (3, H, W)."""
        with Image.open(path) as picture:
            return self.transform(picture.convert("RGB"))

    def vectors(self, pixels: torch.Tensor) -> Vector:
        """Unit vectors, float32 (N, D), of pixels (N, 3, H, W)."""
        with torch.inference_mode():
            features = self.model.forward_head(
                self.model.forward_features(pixels), pre_logits=True
            ).numpy()
        unit: Vector = features / np.linalg.norm(features, axis=1, keepdims=True)
        return unit

    def vector(self, pixels: torch.Tensor) -> Vector:
        """Unit vector, float32 (D,), of one picture's pixels (3, H, W)."""
        one: Vector = self.vectors(pixels.unsqueeze(0))[0]
        return one


def load() -> Parts:
    """EfficientNet-Lite0 with the weights of its model card."""
    card = model_card("efficientnet-lite0")
    timm()  # works around a broken torchvision, so that the next import succeeds
    from timm.data.transforms_factory import create_transform

    transform = create_transform(
        input_size=card.input_size,
        mean=card.mean,
        std=card.std,
        interpolation=card.interpolation,
        crop_pct=card.crop_pct,
    )
    return Parts(transform, load_model(card))


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def answer(embed: Callable[[list[str]], Sequence[Vector]]) -> None:
    """Read names of files that list paths; print the seconds that `embed` takes for each."""
    print(json.dumps({"threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        paths = Path(line.rstrip("\n")).read_text().splitlines()
        embed(paths[:1])  # warm
        started, used = time.perf_counter(), cpu_seconds()
        vectors = np.stack(embed(paths))
        seconds, cpu = time.perf_counter() - started, cpu_seconds() - used
        if len(vectors) != len(paths) or not np.isfinite(vectors).all():
            raise RuntimeError("a vector is missing or is not finite")
        print(json.dumps({"seconds": seconds, "cpu": cpu}), flush=True)
