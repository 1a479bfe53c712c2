"""Arguments shared by several commands: pipeline, runtime, precision, device, pictures."""

import argparse
import math
import os
from typing import Any

from embeddings.errors import OutputError
from embeddings.recipes import DEFAULT_PIPELINE
from embeddings.runtimes.spec import PRECISIONS, RUNTIMES

# A copy of `embeddings.bundle.FORMATS`, which is too slow to import for `--help`; a test compares
# them.
FORMATS = ("csv", "hdf5", "jsonl", "npy", "parquet")


def path(value: str) -> str:
    """A path; an empty one, as from an unset shell variable, is refused."""
    if not value:
        raise argparse.ArgumentTypeError("must not be empty")
    return value


def score(value: str) -> float:
    """A cosine similarity, -1 to 1."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not -1 <= number <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from -1 to 1, not {value!r}")
    return number


def positive(value: str) -> int:
    """An integer of at least 1."""
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, not {value!r}")
    return int(value)


def refuse_existing(output: str, overwrite: bool) -> None:
    """Raises `OutputError` when the file exists and must not be replaced."""
    if os.path.lexists(output) and not overwrite:
        raise OutputError(f"{output} is there already; choose another name, or give --overwrite.")


def pictures_argument(parser: argparse.ArgumentParser) -> None:
    """Add PICTURE…, --all-files and --quiet."""
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
    """Add --quiet."""
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no summary")


def pipeline_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --pipeline, --runtime, --precision and --device."""
    parser.add_argument(
        "--pipeline",
        default=DEFAULT_PIPELINE,
        metavar="NAME",
        help="a pipeline's name, or the .json file of a recipe (%(default)s)",
    )
    runtime_arguments(parser)


def runtime_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --runtime, --precision and --device."""
    parser.add_argument(
        "--runtime", default="auto", choices=RUNTIMES, help="what computes (%(default)s)"
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="what it computes in; the runtime's own, unless given",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (%(default)s)")


def ways(options: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of `embeddings.pipeline` from `runtime_arguments`."""
    return {
        "runtime": options.runtime,
        "precision": options.precision,
        "device": options.device,
    }
