"""Benchmark of embedding on a GPU: images a second, and the share of the GPU's limit."""

from __future__ import annotations

import functools
import io
import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import sample_photos
from benchmarks.options import Options
from benchmarks.report import Findings, NotHere, Table
from embeddings.models.timm_import import timm

_ARCHITECTURES = ("tf_efficientnet_lite0", "resnet50", "vit_small_patch14_dinov2")
_SIDE = 224


@dataclass(frozen=True)
class Load:
    """Images per batch, number of batches, and the matrix size of the product for the limit."""

    device: str = "cuda"
    batch: int = 256
    batches: int = 40
    product: int = 8192


def run(options: Options) -> Findings:
    """Measure forward passes alone, and from JPEG bytes; random weights are as fast as others."""
    if not torch.cuda.is_available():
        raise NotHere("there is no CUDA device here; nothing was measured.")
    load = Load()
    files = [path.read_bytes() for path in sample_photos.demo()]
    limit = operations_per_second(load)
    rows = []
    for name in _ARCHITECTURES:
        model = make_model(name, load)
        alone, whole = forward(model, load), from_jpegs(model, files, load)
        share = alone * operations_per_picture(model, load) / limit
        rows.append([name, f"{alone:,.0f}", f"{100 * share:.0f} %", f"{whole:,.0f}"])
    return [
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, batches of {load.batch} at "
        f"{_SIDE} px in bfloat16 with channels last, random weights. The limit is what products "
        f"of {load.product} x {load.product} reach on this card in the same run: "
        f"{limit / 1e12:.0f} TFLOP/s. From JPEG: the {len(files)} pictures of the demo again and "
        f"again, decoded and resized by {os.cpu_count()} threads while the card computes.",
        Table(["images/s", "forward", "of the limit", "from JPEG"], rows),
    ]


def make_model(name: str, load: Load) -> Any:
    """timm's model of that name with random weights, on the device, giving pooled features."""
    sized = {"img_size": _SIDE} if name.startswith("vit") else {}
    model = timm().create_model(name, pretrained=False, num_classes=0, **sized).eval()
    return model.to(load.device, torch.bfloat16, memory_format=torch.channels_last)


def _finish(load: Load) -> None:
    if load.device == "cuda":
        torch.cuda.synchronize()


def _rate(work: Callable[[], object], load: Load) -> float:
    """Calls of `work` a second, after a warm-up."""
    for _ in range(3):
        work()
    _finish(load)
    started = time.perf_counter()
    for _ in range(load.batches):
        work()
    _finish(load)
    return load.batches / (time.perf_counter() - started)


def operations_per_second(load: Load) -> float:
    """Additions and multiplications a second in a large bfloat16 matrix product."""
    shape = (load.product, load.product)
    a, b = (torch.randn(shape, device=load.device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * load.product**3 * _rate(functools.partial(torch.mm, a, b), load)


def _pixels(load: Load, count: int) -> torch.Tensor:
    pixels = torch.randn(count, 3, _SIDE, _SIDE, device=load.device, dtype=torch.bfloat16)
    return pixels.to(memory_format=torch.channels_last)


def operations_per_picture(model: Any, load: Load) -> float:
    """Additions and multiplications of one forward pass."""
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        model(_pixels(load, 1))
    return float(counter.get_total_flops())


def forward(model: Any, load: Load) -> float:
    """Images a second, with the pixels on the device already."""
    pixels = _pixels(load, load.batch)
    with torch.inference_mode():
        return load.batch * _rate(lambda: model(pixels), load)


def _decoded(data: bytes) -> torch.Tensor:
    """uint8 (H, W, 3)."""
    with Image.open(io.BytesIO(data)) as opened:
        opened.draft("RGB", (_SIDE, _SIDE))
        small = opened.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    return torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).view(_SIDE, _SIDE, 3)


def _batches(files: Sequence[bytes], load: Load) -> Generator[torch.Tensor, None, None]:
    """Endless batches of decoded images, prefetched by two."""
    again, waiting = itertools.cycle(files), deque[list["Future[torch.Tensor]"]]()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        while True:
            while len(waiting) < 3:
                part = itertools.islice(again, load.batch)
                waiting.append([threads.submit(_decoded, data) for data in part])
            batch = torch.stack([one.result() for one in waiting.popleft()])
            yield batch.pin_memory() if load.device == "cuda" else batch


def from_jpegs(model: Any, files: Sequence[bytes], load: Load) -> float:
    """Images a second from JPEG bytes, decoded on the CPU."""
    batches = _batches(files, load)

    def one() -> None:
        pixels = next(batches).to(load.device, non_blocking=True).permute(0, 3, 1, 2)
        model(pixels.to(torch.bfloat16, memory_format=torch.channels_last) / 127.5 - 1)

    try:
        with torch.inference_mode():
            return load.batch * _rate(one, load)
    finally:
        batches.close()
