"""The commands of `python -m embeddings`: each a function that adds itself to the parser.

A command is a pair of functions: one tells argparse its arguments, one runs it. A further
command is one more pair in `_COMMANDS`.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence

from embeddings.errors import EmbeddingsError

# Heavy modules are imported by the commands that need them: `--help` needs none.
Add = Callable[[argparse.ArgumentParser], None]
Run = Callable[[argparse.Namespace], None]


def _no_arguments(_parser: argparse.ArgumentParser) -> None:
    """Nothing to add."""


def _name_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the model's name")


def _list_models(_options: argparse.Namespace) -> None:
    from embeddings.models import cards
    from embeddings.models.weights import weights_path

    rows = [("NAME", "ARCHITECTURE", "DIMENSION", "LICENCE", "WEIGHTS")]
    for name in cards.names():
        try:
            card = cards.model_card(name)
        except EmbeddingsError as error:
            rows.append((name, "", "", "", error.code))
            continue
        try:
            weights_path(card)
            here = "here"
        except EmbeddingsError:
            here = "missing"
        rows.append((name, card.architecture, str(card.dimension), card.licence, here))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _add_model_arguments(parser: argparse.ArgumentParser) -> None:
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


def _add_model(options: argparse.Namespace) -> None:
    from embeddings.models.user_models import add_model

    given = {key: value for key, value in vars(options).items() if key not in ("command", "run")}
    card = add_model(**given)
    print(f"Added {card.name}: {card.architecture}, {card.dimension} dimensions.")


def _fetch_model(options: argparse.Namespace) -> None:
    from embeddings.models.user_models import fetch_model

    # The hub's client tells of each try; the error says all of it in the end.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    card = fetch_model(options.name)
    print(f"The weights of {card.name} are here: SHA-256 {card.sha256}.")


def _remove_model(options: argparse.Namespace) -> None:
    from embeddings.models.user_models import remove_model

    remove_model(options.name)
    print(f"Removed {options.name}.")


_COMMANDS: dict[str, tuple[str, Add, Run]] = {
    "models": ("list the models", _no_arguments, _list_models),
    "add-model": ("add a checkpoint of your own", _add_model_arguments, _add_model),
    "fetch-model": ("download a model's weights", _name_argument, _fetch_model),
    "remove-model": ("forget a model that was added", _name_argument, _remove_model),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0 done, 1 it failed; 2 (usage) argparse exits with.

    What failed is told on stderr, in words.
    """
    parser = argparse.ArgumentParser(
        prog="python -m embeddings", description="Image embeddings: models and their weights."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (about, add, run) in _COMMANDS.items():
        command = commands.add_parser(name, help=about, description=f"{about.capitalize()}.")
        add(command)
        command.set_defaults(run=run)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except EmbeddingsError as error:
        print(f"error: {error.detail}", file=sys.stderr)
        return 1
    return 0
