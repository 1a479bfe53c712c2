"""Commands for models and their text towers: list, add, fetch, remove."""

import argparse
import json
import logging
from typing import Any

from embeddings.errors import EmbeddingsError


def list_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `models`."""
    parser.add_argument("--json", action="store_true", help="a line of JSON for each")


def name_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument of `remove-model` and `remove-text-tower`."""
    parser.add_argument("name", metavar="NAME", help="the model's name")


def fetch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `fetch-model`."""
    name_argument(parser)
    parser.add_argument(
        "--text", action="store_true", help="the text tower of a CLIP or SigLIP model as well"
    )


def tower_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `add-text-tower`."""
    name_argument(parser)
    parser.add_argument(
        "--from",
        dest="path",
        required=True,
        metavar="FOLDER",
        help="with model.safetensors, config.json and tokenizer.json",
    )


def list_models(options: argparse.Namespace) -> int:
    """Print every model: architecture, dimension, licence, and whether its weights are present."""
    from embeddings.models import cards

    rows = [_row(name) for name in cards.names()]
    if options.json:
        for row in rows:
            print(json.dumps(row))
        return 0
    headings = list(rows[0])
    cells = [[heading.upper() for heading in headings]]
    cells += [["" if row[key] is None else str(row[key]) for key in headings] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())
    return 0


def _row(name: str) -> dict[str, Any]:
    from embeddings.models import cards
    from embeddings.models.weights import weights_path

    try:
        card = cards.model_card(name)
    except EmbeddingsError as error:
        empty = dict.fromkeys(("architecture", "dimension", "licence"))
        return {"name": name, **empty, "weights": error.code}
    try:
        weights_path(card)
        here = "here"
    except EmbeddingsError:
        here = "missing"
    return {
        "name": name,
        "architecture": card.architecture,
        "dimension": card.dimension,
        "licence": card.licence,
        "weights": here,
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `add-model`."""
    parser.add_argument("--from", dest="path", required=True, metavar="FILE", help="the checkpoint")
    parser.add_argument("--architecture", help="timm's name of it, such as resnet50")
    parser.add_argument("--name", help="what to call the model; else made of the architecture")
    parser.add_argument("--licence", help="of the weights, to be shown beside them")
    rgb = ("R", "G", "B")
    parser.add_argument("--mean", type=float, nargs=3, metavar=rgb, help="on a scale of 0 to 1")
    parser.add_argument("--std", type=float, nargs=3, metavar=rgb, help="on a scale of 0 to 1")
    parser.add_argument("--input-size", type=int, metavar="PIXELS", help="a side of the picture")
    parser.add_argument("--interpolation", help="bilinear, bicubic or lanczos")
    parser.add_argument("--crop-pct", type=float, metavar="SHARE", help="above 0, at most 1")
    parser.add_argument(
        "--text-tower",
        metavar="KIND",
        help="clip or siglip, of a picture tower whose head leads to a space of texts",
    )


def add_model(options: argparse.Namespace) -> int:
    """Copy a checkpoint into the models folder."""
    from embeddings.models import user_models

    arguments = {
        key: value for key, value in vars(options).items() if key not in ("command", "run")
    }
    card = user_models.add_model(**arguments)
    print(f"Added {card.name}: {card.architecture}, {card.dimension} dimensions.")
    return 0


def fetch_model(options: argparse.Namespace) -> int:
    """Download a hub model's weights."""
    from embeddings.models import user_models

    # The hub client logs every attempt; the final error is enough.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    card = user_models.fetch_model(options.name)
    print(f"The weights of {card.name} are here: SHA-256 {card.sha256}.")
    if options.text:
        from embeddings.text.user_towers import fetch_text_tower

        tower = fetch_text_tower(options.name)
        print(f"Its text tower is here: SHA-256 {tower.digests.weights_sha256}.")
    return 0


def add_text_tower(options: argparse.Namespace) -> int:
    """Copy the text tower of a CLIP or SigLIP model into the models folder."""
    from embeddings.text import user_towers

    tower = user_towers.add_text_tower(options.name, options.path)
    print(f"Added the text tower of {options.name}: SHA-256 {tower.digests.weights_sha256}.")
    return 0


def remove_text_tower(options: argparse.Namespace) -> int:
    """Remove the text tower of a CLIP or SigLIP model."""
    from embeddings.text import user_towers

    user_towers.remove_text_tower(options.name)
    print(f"Removed the text tower of {options.name}.")
    return 0


def remove_model(options: argparse.Namespace) -> int:
    """Remove a model that was added."""
    from embeddings.models import user_models

    user_models.remove_model(options.name)
    print(f"Removed {options.name}.")
    return 0
