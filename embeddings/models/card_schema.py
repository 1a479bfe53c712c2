"""Schema of model cards and weight sources: plain dataclasses, without torch."""

from dataclasses import dataclass

# Kinds of a model's head: scores of ImageNet's 1,000 classes in timm's order, or the projection
# into the space of a text tower.
IMAGENET = "imagenet-1k"
TEXT_TOWERS = ("clip", "siglip")


@dataclass(frozen=True)
class PackageWeights:
    """Weights in a file of an installed Python package."""

    distribution: str  # name for pip, with version
    package: str  # import name
    path: str  # relative to the package's folder, with forward slashes


@dataclass(frozen=True)
class FileWeights:
    """Weights in a local file: .safetensors or a `torch.save` file, read as data only."""

    path: str


@dataclass(frozen=True)
class HubWeights:
    """Weights on the Hugging Face hub; only its local cache is used unless asked."""

    repository: str  # "owner/name"
    file: str
    revision: str = "main"  # a branch, a tag or, once the file is here, a commit


Weights = PackageWeights | FileWeights | HubWeights


@dataclass(frozen=True)
class ModelCard:
    """A model, the source of its weights, and how pictures must be prepared for it.

    `architecture` is timm's name without a tag, `dimension` the length of the pooled features,
    `input_size` a side in pixels; `mean` and `std` are per channel (R, G, B) on a scale of
    0 to 1; `sha256` is the digest of the weights file, checked at each load, and None for a hub
    model whose file has not been downloaded (`embeddings.models.weights.resolve`).

    `pooling` is timm's own: 'avg' over positions, 'cls' for the class token, or 'head' where the
    model does more (a norm after the average, attention). `layers` are the layers worth choosing,
    'features' (the last, before pooling) first. `renaming` names the rule that maps the
    checkpoint's tensor names to the architecture's (`embeddings.models.tensor_names`), None if
    they agree. `languages` are those of the text side, empty for a model of pictures alone. `head`
    says what the model's own head returns: 'imagenet-1k' (scores of those classes), 'clip' or
    'siglip' (vectors comparable with those of such a text tower), None for anything else;
    `head_dimension` is the length of that output.
    """

    name: str
    architecture: str
    weights: Weights
    sha256: str | None
    licence: str
    dimension: int
    input_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop_pct: float
    renaming: str | None = None
    pooling: str = "avg"
    layers: tuple[str, ...] = ("features",)
    languages: tuple[str, ...] = ()
    head: str | None = None
    head_dimension: int = 0
