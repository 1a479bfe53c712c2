"""`export` and `check` commands: convert and verify bundles."""

import argparse

from embeddings.cli.options import FORMATS, path, refuse_existing
from embeddings.cli.output import line
from embeddings.recipes import Recipe

MORE = """\
Formats: npy, parquet, hdf5, csv and jsonl are bundles, folders with a
manifest; faiss is an index file with a table of its ids beside it.

examples:
  python -m embeddings export photos.bundle -o photos.csv --format csv
  python -m embeddings export photos.bundle -o photos.faiss --format faiss
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `export`."""
    parser.add_argument("bundle", type=path, metavar="BUNDLE", help="what `embed -o` wrote")
    parser.add_argument(
        "-o", "--output", type=path, required=True, metavar="PATH", help="what to write"
    )
    parser.add_argument(
        "--format", required=True, choices=(*FORMATS, "faiss"), help="of what is written"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")


def run(options: argparse.Namespace) -> int:
    """Write a bundle in another format. Raises `EmbeddingsError`."""
    from embeddings.bundle import export, load

    bundle = load(options.bundle)
    if options.format == "faiss":
        refuse_existing(options.output, options.overwrite)
        bundle.to_faiss(options.output)
    else:
        export(bundle, options.output, format=options.format, overwrite=options.overwrite)
    line(written=options.output, format=options.format, count=len(bundle))
    return 0


def check_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the argument of `check`."""
    parser.add_argument("bundle", type=path, metavar="BUNDLE", help="what `embed -o` wrote")


def check(options: argparse.Namespace) -> int:
    """Check every file of a bundle against its manifest. Raises `EmbeddingsError`."""
    from embeddings.bundle import load

    bundle = load(options.bundle)
    line(
        bundle=options.bundle,
        count=len(bundle),
        pipeline=bundle.recipe.name if isinstance(bundle.recipe, Recipe) else None,
        fingerprint=bundle.fingerprint,
        whole=True,
    )
    return 0
