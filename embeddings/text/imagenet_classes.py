"""ImageNet's 1,000 classes as sentences, and their vectors in MiniLM's space.

The sentences combine timm's descriptions with WordNet's definitions, which timm includes.
Measured on the demo and on the evaluation pictures: precision@5 of category names is 80 and 28 %
with definitions, 75 and 21 % without. Temperatures other than 1, several sentences per class, and
subtracting their mean gained nothing on either.

`python -m embeddings.text.imagenet_classes` computes and caches the vectors. It needs torch, whose
memory a process never releases, so a process without torch runs it as a subprocess, once per
machine.
"""

import functools
import hashlib
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import WeightsError
from embeddings.runtimes import cache
from embeddings.runtimes.subprocess_job import run_module
from embeddings.text.constants import MINILM_SHA256, PROMPT, SENTENCES_SHA256
from embeddings.text.minilm import minilm

COUNT = 1000
_FILE = "classes.npy"
# Other vectors from the same sentences, if the computation changes, get another cache entry.
_NAME = f"concepts-1-{MINILM_SHA256[:24]}-{SENTENCES_SHA256[:24]}"


@functools.cache
def class_matrix() -> NDArray[np.float32]:
    """Return the classes' vectors, float32 (1000, 384), each of unit length, in timm's order.

    Computed once per machine, by a subprocess if this process has no torch, and cached; reading
    them needs neither timm nor MiniLM. Raises `PackageMissing`, `WeightsError`.
    """
    if "torch" not in sys.modules and not cache.is_kept(_NAME):
        run_module(__name__)
    try:
        matrix: Any = np.load(cache.kept_folder(_NAME, _keep) / _FILE, allow_pickle=False)
    except cache.CacheUnwritable:
        matrix = _computed()
    matrix.setflags(write=False)
    vectors: NDArray[np.float32] = matrix
    return vectors


def sentences() -> list[str]:
    """Return one sentence per class. Raises `WeightsError` when timm's descriptions differ."""
    info = _info()
    texts = []
    for number in range(COUNT):
        detailed = info.index_to_description(number, detailed=True)
        description, _, definition = detailed.partition(": ")
        texts.append(
            PROMPT.replace("{description}", description).replace("{definition}", definition)
        )
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    if digest != SENTENCES_SHA256:
        raise WeightsError(
            "weights_mismatch",
            f"This version of timm describes ImageNet's classes otherwise (SHA-256 {digest}, but "
            f"{SENTENCES_SHA256} is expected); install the one that requirements/run.txt names.",
        )
    return texts


def _info() -> Any:
    from embeddings.models.timm_import import timm

    timm()
    return importlib.import_module("timm.data").ImageNetInfo("imagenet-1k")


def _computed() -> NDArray[np.float32]:
    return minilm().batch(sentences())


def _keep(folder: Path) -> None:
    np.save(folder / _FILE, _computed())


def main() -> None:
    """Compute and cache the vectors, and the converted MiniLM that they need."""
    import torch  # noqa: F401 (so that this process starts no subprocess itself)

    class_matrix()


if __name__ == "__main__":
    main()
