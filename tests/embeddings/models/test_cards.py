"""Model cards: what they say is what timm says, and what the weights give."""

import hashlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from embeddings.errors import UnknownName, WeightsError
from embeddings.models.builtin_cards import SHIPPED
from embeddings.models.cards import HubWeights, PackageWeights, card_for_weights, model_card, names
from embeddings.models.inspection import pooling_and_dimension
from embeddings.models.timm_import import timm
from embeddings.models.weights import load_model, resolve, weights_path
from embeddings.operators.transform import ResizeCenterCrop

TAGGED = {
    "resnet50": "resnet50.a1_in1k",
    "convnext-tiny": "convnext_tiny.in12k_ft_in1k",
    "dinov2-vit-s14": "vit_small_patch14_dinov2.lvd142m",
    "siglip-base-p16-224": "vit_base_patch16_siglip_224.webli",
    "clip-vit-b32": "vit_base_patch32_clip_quickgelu_224.openai",
}
LITES = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_card_says_what_timm_says(name: str) -> None:
    card = model_card(name)
    facts = timm().get_pretrained_cfg(TAGGED.get(name, card.architecture))
    assert facts.architecture == card.architecture
    assert facts.input_size == (3, card.input_size, card.input_size)
    assert (facts.mean, facts.std) == (card.mean, card.std)
    assert (facts.interpolation, facts.crop_pct) == (card.interpolation, card.crop_pct)
    assert facts.license.lower() == card.licence.lower()
    if isinstance(card.weights, HubWeights):
        assert card.weights.repository == facts.hf_hub_id
        assert facts.hf_hub_filename is None  # so that it is model.safetensors


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_cards_model_has_its_layers_pooling_and_dimension(name: str) -> None:
    card = model_card(name)
    with torch.device("meta"):
        model = timm().create_model(card.architecture, pretrained=False)
    assert model.num_features == model.head_hidden_size == card.dimension
    assert card.layers[0] == "features"
    assert set(card.layers[1:]) <= {module for module, _ in model.named_modules()}
    if name == "convnext-tiny":
        assert card.pooling == "head"  # average and norm
    else:
        own = model.global_pool if isinstance(model.global_pool, str) else "avg"
        assert card.pooling == {"token": "cls", "map": "head", "avg": "avg"}[own]


@pytest.mark.parametrize("name", LITES)
def test_packaged_weights_load_strictly_and_recognize_animals(name: str, demo: list[Path]) -> None:
    card = model_card(name)
    assert isinstance(card.weights, PackageWeights)
    assert hashlib.sha256(weights_path(card).read_bytes()).hexdigest() == card.sha256
    assert card_for_weights(card.sha256 or "") is card is resolve(card)
    model = load_model(card)
    assert not model.training
    assert pooling_and_dimension(model, card.input_size) == (card.pooling, card.dimension)

    labels = timm().data.ImageNetInfo()
    transform = ResizeCenterCrop(card.input_size, card.crop_pct, card.interpolation, True)
    folder = demo[0].parent
    animals = {"cat": "cat", "chicken": "hen", "cow": "ox", "dog": "shepherd", "duck": "goose"}
    with torch.inference_mode():
        for animal, word in animals.items():
            with Image.open(folder / f"explore_farm_animals-{animal}.jpg") as image:
                pixels = torch.from_numpy(transform(image.convert("RGB")))[None] / 255
            mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (card.mean, card.std))
            best = int(model((pixels - mean) / std).argmax())
            assert word in labels.index_to_description(best), animal


@pytest.mark.parametrize("name", sorted(TAGGED))
def test_missing_hub_weights_say_what_to_do(name: str) -> None:
    card = model_card(name)
    assert card.sha256 is None
    with pytest.raises(WeightsError) as caught:
        load_model(card)
    assert caught.value.code == "weights_missing"
    assert f"fetch-model {name}" in caught.value.detail
    assert f"add-model --name {name} --from FILE" in caught.value.detail


def test_names_and_unknown_ones() -> None:
    assert names() == tuple(sorted(SHIPPED))
    with pytest.raises(UnknownName) as caught:
        model_card("resnet-50")
    assert caught.value.nearest[0] == "resnet50"
    with pytest.raises(UnknownName):
        card_for_weights("0" * 64)
