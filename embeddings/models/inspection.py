"""Probing of a loaded model: its pooling, dimension and layers, found with one test picture."""

from typing import Any

import torch

from embeddings.errors import WeightsError

_MAX_LAYERS = 3


def pooling_and_dimension(model: Any, input_size: int) -> tuple[str, int]:
    """Return timm's pooling of the model's features ('avg', 'cls' or 'head') and their length.

    Found by comparison, since timm's families have different settings. Raises `WeightsError`
    (`weights_mismatch`) when the model does not accept squares of `input_size` pixels or returns
    values that are not finite.
    """
    noise = torch.randn(2, 3, input_size, input_size, generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode():
            features = model.forward_features(noise)
            head = model.forward_head(features, pre_logits=True)
            average, token = _average(model, features), _token(model, features)
    except Exception as error:  # every architecture fails in its own way
        raise WeightsError(
            "weights_mismatch",
            f"The model cannot embed pictures of {input_size} x {input_size} pixels: {error}.",
        ) from error
    if not torch.isfinite(head).all():
        raise WeightsError(
            "weights_mismatch", "The model gives no finite numbers; its checkpoint is not sound."
        )
    for pooling, pooled in (("avg", average), ("cls", token)):
        if pooled is not None and pooled.shape == head.shape and torch.allclose(pooled, head):
            return pooling, int(pooled.shape[1])
    return "head", int(head.shape[1])


def _average(model: Any, features: torch.Tensor) -> torch.Tensor:
    if features.ndim == 4:
        last = getattr(model, "output_fmt", "NCHW") == "NHWC"
        return features.mean(dim=(1, 2) if last else (2, 3))
    return features[:, int(getattr(model, "num_prefix_tokens", 0)) :].mean(dim=1)


def _token(model: Any, features: torch.Tensor) -> torch.Tensor | None:
    tokens = features.ndim == 3 and int(getattr(model, "num_prefix_tokens", 0)) > 0
    return features[:, 0] if tokens else None


def layers(model: Any) -> tuple[str, ...]:
    """Return 'features', and the last stages before it that have names."""
    modules = dict(model.named_modules())
    stages = [stage["module"] for stage in getattr(model, "feature_info", ())][:-1]
    return ("features", *[name for name in reversed(stages) if name in modules][:_MAX_LAYERS])
