"""What counts as the same vectors: measured beside a re-save as JPEG, on any processor alike."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from embeddings.models.cards import model_card
from embeddings.models.feature_module import features_module
from embeddings.runtimes.agreement import Agreement, agreement, check_pixels, resaved
from embeddings.runtimes.loader import load_network
from embeddings.runtimes.spec import FeatureSpec

CARD = model_card("efficientnet-lite0")
assert CARD.sha256 is not None
SPEC = FeatureSpec(
    CARD.architecture, CARD.sha256, CARD.mean, CARD.std, "features", "avg", 224, 224, head=1000
)
Features = NDArray[np.float32]


class Rounded(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Every result of torch, rounded to so many bits: what a coarser precision computes."""

    def __init__(self, bits: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bits = bits

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.dtype == torch.float32:
            return rounded(result, self.bits)
        return result


def rounded(numbers: torch.Tensor, bits: int) -> torch.Tensor:
    """float32 with `bits` significant bits; bfloat16 has 8."""
    spare = 24 - bits
    whole = numbers.view(torch.int32) + (1 << spare - 1)
    return (whole >> spare << spare).view(torch.float32)


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    """Every second one of them."""
    return check_pixels(224, 224)[::2]


@pytest.fixture(scope="module")
def reference(pixels: NDArray[np.uint8]) -> tuple[Features, Features]:
    """What torch makes of the check pictures, and of the same when re-saved."""
    network = load_network(SPEC, "torch")
    return network(pixels), network(resaved(pixels))


@pytest.fixture(scope="module")
def coarse(pixels: NDArray[np.uint8]) -> Callable[[int], Features]:
    """The model's features in so many bits."""

    def compute(bits: int) -> Features:
        module = features_module(SPEC).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for numbers in (*module.model.parameters(), *module.model.buffers()):
            if numbers.dtype == torch.float32:
                numbers.data = rounded(numbers.data, bits)
        parts = []
        with torch.inference_mode():
            for start in range(0, len(pixels), 4):
                x = torch.from_numpy(pixels[start : start + 4]).to(torch.float32)
                with Rounded(bits):
                    parts.append(module(x.contiguous(memory_format=torch.channels_last)).numpy())
        return np.concatenate(parts)

    return compute


@pytest.mark.slow
def test_bfloat16_agrees_with_room_to_spare(
    reference: tuple[Features, Features], coarse: Callable[[int], Features]
) -> None:
    bfloat16 = agreement(*reference, coarse(8), SPEC.head)
    assert bfloat16.agrees
    assert 0.05 < bfloat16.mean_share < 0.35
    assert 0.05 < bfloat16.p99_share < 0.7


@pytest.mark.slow
def test_what_is_coarser_does_not(
    reference: tuple[Features, Features], coarse: Callable[[int], Features]
) -> None:
    assert not agreement(*reference, coarse(6), SPEC.head).agrees


def test_noise_beyond_what_a_resave_does(reference: tuple[Features, Features]) -> None:
    """As int8 differs: by 0.013 in the mean."""
    features = reference[0][:, : -SPEC.head]
    noise = np.random.default_rng(0).normal(size=features.shape).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    noise *= np.linalg.norm(features, axis=1, keepdims=True)
    of_resaved = reference[1][:, : -SPEC.head]
    assert agreement(features, of_resaved, features + 0.03 * noise, 0).agrees
    assert not agreement(features, of_resaved, features + 0.16 * noise, 0).agrees


def turned(degrees: float | NDArray[np.float64], count: int = 101) -> Features:
    """`count` vectors that lie so far from (1, 0), each 1 - cos(degrees)."""
    angles = np.radians(np.broadcast_to(degrees, count))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_mean_and_percentile_as_shares() -> None:
    still, resave = turned(0), turned(8)
    half = agreement(still, resave, turned(5.6), 0)
    assert half.mean_share == pytest.approx(0.49, abs=0.005)
    assert half.p99_share == pytest.approx(0.49, abs=0.005)
    assert half.agrees
    assert not agreement(still, resave, turned(5.7), 0).agrees  # the mean
    far = np.zeros(101)
    far[:2] = 8.1  # of 101 numbers the second largest is the 99th percentile
    rare = agreement(still, resave, turned(far), 0)
    assert rare.mean_share < 0.03
    assert not rare.agrees
    far[1] = 0  # the very worst alone does not decide
    assert agreement(still, resave, turned(far), 0).agrees


def test_the_worse_of_features_and_head_counts() -> None:
    still, resave = np.hstack([turned(0)] * 2), np.hstack([turned(8)] * 2)
    for parts in ((turned(0), turned(6)), (turned(6), turned(0))):
        assert not agreement(still, resave, np.hstack(parts), 2).agrees
    assert agreement(still, resave, np.hstack([turned(5), turned(5)]), 2).agrees


def test_lengths_are_not_compared() -> None:
    assert agreement(turned(0), turned(8), 3 * turned(0), 0) == Agreement(0, 0)


def test_what_is_no_number_agrees_with_nothing() -> None:
    for wrong in (np.nan, np.inf):
        vectors = turned(0).copy()
        vectors[5, 1] = wrong
        assert not agreement(turned(0), turned(8), vectors, 0).agrees


def test_a_model_that_a_resave_does_not_change() -> None:
    """Rounding of float32 is no difference, even beside nothing."""
    still = turned(0)
    assert agreement(still, still, turned(0.02), 0).agrees
    assert not agreement(still, still, turned(0.2), 0).agrees
    nothing = np.zeros_like(still)
    assert agreement(nothing, nothing, nothing, 0).agrees


def test_the_check_pictures_are_many_and_varied() -> None:
    pixels = check_pixels(60, 90)
    assert pixels.shape == (64, 3, 60, 90)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, check_pixels(60, 90))
    assert len({one.tobytes() for one in pixels}) == 64


def test_a_resave_is_one_of_quality_95() -> None:
    pixels = check_pixels(64, 48)[:3]
    again = resaved(pixels)
    assert (again.shape, again.dtype) == (pixels.shape, pixels.dtype)
    for one, other in zip(pixels, again, strict=True):
        file = io.BytesIO()
        Image.fromarray(one.transpose(1, 2, 0)).save(file, "JPEG", quality=95)
        with Image.open(file) as picture:
            assert np.array_equal(np.asarray(picture).transpose(2, 0, 1), other)
        assert not np.array_equal(one, other)
