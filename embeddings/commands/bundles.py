"""`export` and `check`: what is done with bundles."""

import argparse

from embeddings.commands.lines import line
from embeddings.recipes import Recipe

MORE = """\
Formats: npy, parquet, hdf5, csv and jsonl are bundles, folders with a
manifest; faiss is an index file with a table of its ids beside it.

examples:
  python -m embeddings export photos.bundle -o photos.csv --format csv
  python -m embeddings export photos.bundle -o photos.faiss --format faiss
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `export`."""
    parser.add_argument("bundle", metavar="BUNDLE", help="what `embed -o` wrote")
    parser.add_argument("-o", "--output", required=True, metavar="PATH", help="what to write")
    parser.add_argument("--format", required=True, help="npy, parquet, hdf5, csv, jsonl or faiss")
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is there")


def run(options: argparse.Namespace) -> int:
    """Write a bundle in another format. Raises `EmbeddingsError`."""
    from embeddings.bundle import export, load

    bundle = load(options.bundle)
    if options.format == "faiss":
        bundle.to_faiss(options.output)
    else:
        export(bundle, options.output, format=options.format, overwrite=options.overwrite)
    line(written=options.output, format=options.format, count=len(bundle))
    return 0


def check_arguments(parser: argparse.ArgumentParser) -> None:
    """That of `check`."""
    parser.add_argument("bundle", metavar="BUNDLE", help="what `embed -o` wrote")


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
