"""The arguments that several commands share: which pipeline, and what computes it."""

import argparse
from typing import Any

from embeddings.recipes import DEFAULT_PIPELINE
from embeddings.runtimes.spec import PRECISIONS, RUNTIMES


def pictures_argument(parser: argparse.ArgumentParser) -> None:
    """PICTURE…, --all-files and --quiet."""
    parser.add_argument(
        "pictures",
        nargs="+",
        metavar="PICTURE",
        help="a file, or a folder with all below it; - reads paths from stdin, one a line",
    )
    parser.add_argument(
        "--all-files",
        action="store_true",
        help="try every file of a folder, also those not named like a picture",
    )
    quiet_argument(parser)


def quiet_argument(parser: argparse.ArgumentParser) -> None:
    """--quiet."""
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no summary")


def pipeline_arguments(parser: argparse.ArgumentParser) -> None:
    """--pipeline and what computes it."""
    parser.add_argument(
        "--pipeline",
        default=DEFAULT_PIPELINE,
        metavar="NAME",
        help="a pipeline's name, or the .json file of a recipe (%(default)s)",
    )
    runtime_arguments(parser)


def runtime_arguments(parser: argparse.ArgumentParser) -> None:
    """--runtime, --precision, --device."""
    parser.add_argument("--runtime", default="auto", help=f"{', '.join(RUNTIMES)} (%(default)s)")
    parser.add_argument("--precision", help=", ".join(PRECISIONS))
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (%(default)s)")


def ways(options: argparse.Namespace) -> dict[str, Any]:
    """What `pipeline` takes of `runtime_arguments`."""
    return {
        "runtime": options.runtime,
        "precision": options.precision,
        "device": options.device,
    }
