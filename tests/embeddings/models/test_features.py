"""Layers and poolings, compared with timm's own modules."""

from typing import Any

import numpy as np
import pytest
import torch

from embeddings.errors import RecipeError, UnknownName
from embeddings.models.cards import model_card
from embeddings.models.feature_module import Features
from embeddings.models.timm_import import timm
from embeddings.models.weights import load_model
from embeddings.operators.embed import TimmEmbedding
from embeddings.runtimes.spec import FeatureSpec

RNG = np.random.default_rng(1)
HALF = (0.5, 0.5, 0.5)


def spec(layer: str = "features", pooling: str = "avg", side: int = 64) -> FeatureSpec:
    return FeatureSpec("any", "0" * 64, HALF, HALF, layer, pooling, side, side)


def pixels(side: int, number: int = 2) -> torch.Tensor:
    return torch.from_numpy(RNG.integers(0, 256, (number, 3, side, side), np.uint8))


def made(architecture: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return timm().create_model(architecture, pretrained=False, **options).eval()


def run(model: Any, feature_spec: FeatureSpec, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        features: torch.Tensor = Features(model, feature_spec)(x)
        return features


def plain(x: torch.Tensor) -> torch.Tensor:
    return (x.float() / 255 - 0.5) / 0.5


def output_of(model: Any, layer: str, x: torch.Tensor) -> torch.Tensor:
    """What timm's own model gives at that layer."""
    caught: list[torch.Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(
        lambda _module, _given, output: caught.append(output)
    )
    with torch.inference_mode():
        model.forward_features(plain(x))
    handle.remove()
    return caught[0]


def test_average_is_timms_own() -> None:
    model, x = made("test_resnet", num_classes=0), pixels(64)
    with torch.inference_mode():
        expected = model(plain(x))
    assert torch.allclose(run(model, spec(), x), expected, atol=1e-5)


@pytest.mark.parametrize("pooling", ["max", "gem"])
def test_other_poolings(pooling: str) -> None:
    model, x = made("test_resnet"), pixels(64)
    with torch.inference_mode():
        features = model.forward_features(plain(x))
    if pooling == "max":
        expected = features.amax(dim=(2, 3))
    else:
        expected = features.clamp(min=1e-6).pow(3).mean(dim=(2, 3)).pow(1 / 3)
    assert torch.allclose(run(model, spec(pooling=pooling), x), expected, atol=1e-4)


def test_any_layer_by_name() -> None:
    model, x = made("resnet18"), pixels(64)
    expected = output_of(model, "layer3", x).mean(dim=(2, 3))
    features = run(model, spec("layer3"), x)
    assert features.shape == (2, 256)
    assert torch.allclose(features, expected, atol=1e-5)


def test_transformers_have_a_class_token_and_places() -> None:
    model, x = made("test_vit"), pixels(160)
    with torch.inference_mode():
        tokens = model.forward_features(plain(x))
        head = model.forward_head(tokens, pre_logits=True)
    assert torch.allclose(run(model, spec(pooling="cls", side=160), x), tokens[:, 0], atol=1e-5)
    places = tokens[:, model.num_prefix_tokens :].mean(dim=1)
    assert torch.allclose(run(model, spec(side=160), x), places, atol=1e-5)
    assert torch.allclose(run(model, spec(pooling="head", side=160), x), head, atol=1e-5)


def test_layers_of_the_default_model_are_timms_own() -> None:
    """Norms folded into convolutions would change what these layers give."""
    model, x = load_model(model_card("efficientnet-lite0")), pixels(224)
    for layer in ("blocks.3.0.conv_pw", "conv_head"):
        parameters: Any = TimmEmbedding.canonical("efficientnet-lite0", layer)
        embedding = TimmEmbedding(**parameters, runtime="torch")
        features = torch.from_numpy(embedding.pixels(x.numpy()))
        expected = output_of(model, layer, x).mean(dim=(2, 3))
        assert torch.cosine_similarity(features, expected).min() >= 0.9999, layer


def test_channels_are_found_where_a_layer_has_them() -> None:
    """ConvNeXt's maps have their channels in front, those inside of its blocks behind."""
    model, x = made("test_convnext"), pixels(64)
    for layer, channels_last in (("stages.1", False), ("stages.1.blocks.0.mlp", True)):
        expected = output_of(model, layer, x).mean(dim=(1, 2) if channels_last else (2, 3))
        assert torch.allclose(run(model, spec(layer), x), expected, atol=1e-5)


@pytest.mark.parametrize("layer", ["fc", "global_pool"])
def test_layers_that_give_no_map(layer: str) -> None:
    with pytest.raises(RecipeError, match=f"Layer '{layer}' gives no map"):
        Features(made("resnet18"), spec(layer))


def test_what_a_layer_cannot_give_is_said() -> None:
    model = made("resnet18")
    with pytest.raises(UnknownName, match="layer3"):
        Features(model, spec("layer33"))
    with pytest.raises(UnknownName, match="gem"):
        Features(model, spec(pooling="gemm"))
    with pytest.raises(RecipeError, match="class token"):
        run(model, spec(pooling="cls"), pixels(64))
    with pytest.raises(RecipeError, match="own, of layer"):
        Features(model, spec("layer3", "head"))


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_layers_and_poolings_when_converted(runtime: str) -> None:
    layer, pooling = "blocks.4", "gem"
    parameters: Any = TimmEmbedding.canonical("efficientnet-lite0", layer, pooling)
    embedding = TimmEmbedding(**parameters, runtime=runtime)
    x = pixels(224, 3)
    card = model_card("efficientnet-lite0")
    assert card.sha256 is not None
    feature_spec = FeatureSpec(
        card.architecture, card.sha256, card.mean, card.std, layer, pooling, 224, 224
    )
    expected = run(load_model(card), feature_spec, x).numpy()
    features = embedding.pixels(x.numpy())
    assert features.shape[1] == embedding.dimension
    cosine = (features * expected).sum(1) / np.linalg.norm(features, axis=1)
    assert (cosine / np.linalg.norm(expected, axis=1)).min() >= 0.9999
