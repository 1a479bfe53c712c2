"""Torch module from pixels to pooled features, from which every runtime's network is made."""

from typing import Any

import torch
from torch import nn

from embeddings.errors import RecipeError, UnknownName
from embeddings.models.batch_norm_folding import fold_batch_norms
from embeddings.models.cards import card_for_weights
from embeddings.models.weights import load_model
from embeddings.runtimes.spec import PLACES, FeatureSpec

POOLINGS = ("avg", "max", "gem", "cls", "head")
# Generalized mean: "Fine-tuning CNN Image Retrieval with No Human Annotation" (Radenović et al.,
# 2018); a fixed p = 3 is the usual choice without training.
_GEM_P = 3.0
_GEM_MIN = 1e-6
_UNEQUAL = 96, 224  # both divisible by 32, the last stride of most models
_WITHOUT_CLS = "Pooling 'cls' needs a transformer's class token, which this layer does not have."


class Features(nn.Module):
    """uint8 or float pixels (N, 3, H, W) on a scale of 0 to 255 to float32 (N, D).

    With pooling `PLACES`, (N, P x D) for a map of P positions. With a head of K numbers in the
    spec, (N, D + K): the features, followed by the output of the model's own head.
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, model: Any, spec: FeatureSpec) -> None:
        """`model` is a timm model in evaluation mode; it becomes part of this module.

        Raises `RecipeError` for a pooling that the layer does not support, `UnknownName` for a
        layer that the model does not have, and for a head of another size.
        """
        super().__init__()
        if spec.pooling not in (*POOLINGS, PLACES):
            raise UnknownName("pooling", spec.pooling, POOLINGS)
        if spec.pooling == "head" and spec.layer != "features":
            raise RecipeError("Pooling 'head' is the model's own, of layer 'features' only.")
        self.model = model
        self.pooling = spec.pooling
        self.square = spec.height, spec.width
        # The class token is added after the patches are embedded.
        embedded = spec.layer.partition(".")[0] != "patch_embed"
        self.prefix_tokens = int(getattr(model, "num_prefix_tokens", 0)) if embedded else 0
        if spec.pooling == "cls" and not self.prefix_tokens:
            raise RecipeError(_WITHOUT_CLS)
        self._caught: torch.Tensor | None = None
        self.head = spec.head
        self.dtype = torch.float32
        self.layer = None if spec.layer == "features" else spec.layer
        self.channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
        if self.layer is not None:
            modules = dict(model.named_modules())
            modules.pop("", None)  # the whole model
            if self.layer not in modules:
                raise UnknownName(f"layer of {spec.architecture}", self.layer, modules)
            modules[self.layer].register_forward_hook(self._catch)
        # (x / 255 - mean) / std as one multiplication and one addition.
        deviation = torch.tensor(spec.std, dtype=torch.float32).view(1, 3, 1, 1)
        self.register_buffer("scale", 1 / (255 * deviation))
        mean = torch.tensor(spec.mean, dtype=torch.float32).view(1, 3, 1, 1)
        self.register_buffer("shift", -mean / deviation)
        self.eval()
        if self.layer is not None:
            self.channels_last = self._has_channels_last()
        if self.head:
            self._check_head()

    def compute_in(self, dtype: torch.dtype) -> "Features":
        """Run the model in `dtype`; scaling and pooling stay float32."""
        self.dtype = dtype
        self.model.to(dtype)
        return self

    def _catch(self, _module: nn.Module, _given: Any, output: Any) -> None:
        self._caught = output

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        last = self._last(pixels)
        pooled = self._pooled(self._of_layer(last))
        if not self.head:
            return pooled
        if self.pooling == "head" and not self.model.num_classes:  # pooling includes the head
            return torch.cat((pooled, pooled), 1)
        return torch.cat((pooled, self._head(last)), 1)

    def _pooled(self, features: torch.Tensor) -> torch.Tensor:
        if self.pooling == "head":
            pooled: torch.Tensor = self.model.forward_head(features, pre_logits=True)
            return pooled.to(torch.float32)
        return self._pool(features.to(torch.float32))

    def _head(self, last: torch.Tensor) -> torch.Tensor:
        """Return the output of the model's head, after its own pooling: float32 (N, K)."""
        output: torch.Tensor = self.model.forward_head(last)
        return output.to(torch.float32)

    def _check_head(self) -> None:
        with torch.inference_mode():
            shape = tuple(self._head(self._last(torch.zeros(1, 3, *self.square))).shape)
        if shape != (1, self.head):
            raise RecipeError(
                f"The model's head gives {shape[-1]} numbers, where the recipe needs {self.head}."
            )

    def _last(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the model's last features, before pooling."""
        x = pixels.to(torch.float32) * self.scale + self.shift
        last: torch.Tensor = self.model.forward_features(x.to(self.dtype))
        return last

    def _of_layer(self, last: torch.Tensor) -> torch.Tensor:
        """Return the layer's output from this pass. Raises `RecipeError` when it is not a map."""
        features: Any = last
        if self.layer is not None:
            features, self._caught = self._caught, None
        if not isinstance(features, torch.Tensor):
            raise RecipeError(
                f"Layer {self.layer!r} gives no map of features: it is part of the classifier, or "
                "is not run by itself. Choose a layer before it."
            )
        return features

    def _has_channels_last(self) -> bool:
        """Whether a map of the layer has the channels last.

        Tested with a picture whose sides are 3 to 7: the map's sides have the same ratio, which
        no number of channels can be mistaken for. Raises `RecipeError` for other maps.
        """
        unequal = True
        try:
            shape = self._shape(*_UNEQUAL)
        except (AssertionError, RuntimeError):  # a model with a fixed input size
            unequal, shape = False, self._shape(*self.square)
        if len(shape) == 3:
            return False
        for last, sides in ((False, shape[2:4]), (True, shape[1:3])):
            if unequal and len(shape) == 4 and sides[0] * _UNEQUAL[1] == sides[1] * _UNEQUAL[0]:
                return last
        raise RecipeError(
            f"Layer {self.layer!r} gives no map of features that can be pooled. Choose another, "
            "such as a whole stage or block."
        )

    def _shape(self, height: int, width: int) -> torch.Size:
        with torch.inference_mode():
            return self._of_layer(self._last(torch.zeros(1, 3, height, width))).shape

    def _pool(self, features: torch.Tensor) -> torch.Tensor:
        if features.ndim == 4:
            if self.pooling == "cls":
                raise RecipeError(_WITHOUT_CLS)
            flat = features if self.channels_last else features.permute(0, 2, 3, 1)
            places = flat.flatten(1, 2)
        elif features.ndim == 3:
            if self.pooling == "cls":
                return features[:, 0]
            places = features[:, self.prefix_tokens :]
        else:
            raise RecipeError(
                "This layer gives no map of features to pool: its output has shape "
                f"{tuple(features.shape)}. Choose a layer before it."
            )
        # places: (N, positions, channels)
        if self.pooling == PLACES:
            return places.flatten(1)
        if self.pooling == "avg":
            return places.mean(dim=1)
        if self.pooling == "max":
            return places.amax(dim=1)
        return places.clamp(min=_GEM_MIN).pow(_GEM_P).mean(dim=1).pow(1 / _GEM_P)


def features_module(spec: FeatureSpec) -> Features:
    """Return the module of `spec` in float32 on the processor, its weights checked.

    Raises `WeightsError`, `RecipeError`, `UnknownName`.
    """
    card = card_for_weights(spec.weights_sha256)
    model = load_model(card)
    # Folding moves a norm into its convolution, so that a named layer would change its meaning.
    if type(model).__name__ == "EfficientNet" and spec.layer == "features":
        model = fold_batch_norms(model)
    return Features(model, spec)
