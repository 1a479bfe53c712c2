"""ImageNet's 1,000 classes as sentences, and their vectors in MiniLM's space.

The sentences are made of timm's descriptions and of WordNet's definitions, which timm has too.
Measured on the demo and on the evaluation pictures: with definitions precision@5 of category
names is 80 and 28 %, without them 75 and 21 %. Temperatures other than 1, several sentences a
class, and taking their mean away gained nothing on both.

`python -m embeddings.text.imagenet_classes` computes and keeps them: that needs torch, which a
process never gives back, so that one that has not loaded it has another process do so, once per
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
# Other vectors from the same sentences, should their making change, are kept beside the old ones.
_NAME = f"concepts-1-{MINILM_SHA256[:24]}-{SENTENCES_SHA256[:24]}"


@functools.cache
def class_matrix() -> NDArray[np.float32]:
    """The classes' vectors, float32 (1000, 384), each of unit length, in timm's order.

    Computed once per machine, by another process where this one has no torch, and kept; where
    they can be read neither timm nor MiniLM is needed. Raises `PackageMissing`, `WeightsError`.
    """
    if "torch" not in sys.modules and not cache.is_kept(_NAME):
        run_module(__name__)
    try:
        matrix: Any = np.load(cache.kept_folder(_NAME, _keep) / _FILE, allow_pickle=False)
    except cache.CacheUnwritable:
        matrix = _computed()
    matrix.setflags(write=False)
    found: NDArray[np.float32] = matrix
    return found


def sentences() -> list[str]:
    """What stands for each class. Raises `WeightsError` where timm has other descriptions."""
    info = _info()
    made = []
    for number in range(COUNT):
        detailed = info.index_to_description(number, detailed=True)
        description, _, definition = detailed.partition(": ")
        made.append(
            PROMPT.replace("{description}", description).replace("{definition}", definition)
        )
    found = hashlib.sha256("\n".join(made).encode()).hexdigest()
    if found != SENTENCES_SHA256:
        raise WeightsError(
            "weights_mismatch",
            f"This version of timm describes ImageNet's classes otherwise (SHA-256 {found}, but "
            f"{SENTENCES_SHA256} is expected); install the one that requirements/run.txt names.",
        )
    return made


def _info() -> Any:
    from embeddings.models.timm_import import timm

    timm()
    return importlib.import_module("timm.data").ImageNetInfo("imagenet-1k")


def _computed() -> NDArray[np.float32]:
    return minilm().batch(sentences())


def _keep(folder: Path) -> None:
    np.save(folder / _FILE, _computed())


def main() -> None:
    """Compute and keep the vectors, and what MiniLM was converted to on the way."""
    import torch  # noqa: F401 (so that this process does not ask another one in turn)

    class_matrix()


if __name__ == "__main__":
    main()
