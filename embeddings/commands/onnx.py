"""`export-onnx`: a pipeline's model as one file for other programs."""

import argparse

from embeddings.commands.lines import line, say
from embeddings.recipes import DEFAULT_PIPELINE

MORE = """\
The file takes RGB pixels of any size and gives vectors of unit length:
resizing, cropping and scaling are inside. It is compared with torch before it
is written. Decoding files is not inside.

example:
  python -m embeddings export-onnx image-embedding-resnet50 -o resnet50.onnx
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `export-onnx`."""
    parser.add_argument(
        "pipeline",
        nargs="?",
        default=DEFAULT_PIPELINE,
        metavar="PIPELINE",
        help="a pipeline's name, or the .json file of a recipe (%(default)s)",
    )
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the file to write")


def run(options: argparse.Namespace) -> int:
    """Export, check, write. Raises `EmbeddingsError`."""
    from embeddings.onnx_export import export_onnx

    say("Exporting and comparing with torch …")
    export_onnx(options.pipeline, options.output)
    line(written=options.output, pipeline=options.pipeline)
    return 0
