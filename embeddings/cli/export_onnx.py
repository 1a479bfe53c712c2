"""`export-onnx` command: write the model of a pipeline as one ONNX file."""

import argparse

from embeddings.cli.options import path, quiet_argument, refuse_existing
from embeddings.cli.output import line, patience
from embeddings.recipes import DEFAULT_PIPELINE

MORE = """\
The file takes RGB pixels of any size and gives vectors of unit length:
resizing, cropping and scaling are inside. It is compared with torch before it
is written. Decoding files is not inside.

example:
  python -m embeddings export-onnx image-embedding-resnet50 -o resnet50.onnx
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `export-onnx`."""
    parser.add_argument(
        "pipeline",
        nargs="?",
        default=DEFAULT_PIPELINE,
        metavar="PIPELINE",
        help="a pipeline's name, or the .json file of a recipe (%(default)s)",
    )
    parser.add_argument(
        "-o", "--output", type=path, required=True, metavar="FILE", help="the file to write"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    quiet_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Export the model, check it, and write the file. Raises `EmbeddingsError`."""
    from embeddings.onnx.export import export_onnx

    refuse_existing(options.output, options.overwrite)
    with patience(options.quiet):
        exported = export_onnx(options.pipeline, options.output)
    line(
        written=options.output,
        pipeline=options.pipeline,
        fingerprint=exported.fingerprint,
        mean_cosine_with_torch=round(exported.mean_cosine, 7),
        least_cosine_with_torch=round(exported.least_cosine, 7),
    )
    return 0
