"""The plain timm loop that the import is compared with: `python -m benchmarks.plain`.

What one writes first: open a picture, transform it as timm says, run the model on it alone, keep
the vector. The same weights, torch's own number of threads. Reads the names of files that list
paths, answers with the seconds that all of them took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from embeddings.models.cards import model_card
from embeddings.models.timm_import import timm
from embeddings.models.weights import load_model


def main() -> None:
    card = model_card("efficientnet-lite0")
    timm()  # where it needs help to be imported, it gets it here
    from timm.data.transforms_factory import create_transform

    model = load_model(card)
    transform = create_transform(
        input_size=card.input_size,
        mean=card.mean,
        std=card.std,
        interpolation=card.interpolation,
        crop_pct=card.crop_pct,
    )

    def embed(path: str) -> np.ndarray:
        with Image.open(path) as picture, torch.inference_mode():
            pixels = transform(picture.convert("RGB")).unsqueeze(0)
            features = model.forward_head(model.forward_features(pixels), pre_logits=True)
        vector: np.ndarray = features[0].numpy()
        vector /= np.linalg.norm(vector)
        return vector

    print(json.dumps({"threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        paths = Path(line.rstrip("\n")).read_text().splitlines()
        embed(paths[0])  # warm
        started, used = time.perf_counter(), time.process_time()
        vectors = [embed(path) for path in paths]
        seconds, cpu = time.perf_counter() - started, time.process_time() - used
        assert np.isfinite(np.stack(vectors)).all()
        print(json.dumps({"seconds": seconds, "cpu": cpu}), flush=True)


if __name__ == "__main__":
    main()
