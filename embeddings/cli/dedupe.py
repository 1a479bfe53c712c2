"""`dedupe` command: find duplicate and near-duplicate pictures."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.cli.options import pictures_argument, pipeline_arguments, score, ways
from embeddings.cli.output import SOME_FAILED, counted, line, patience, progress, say
from embeddings.errors import InputError
from embeddings.recipes import DEFAULT_PIPELINE

MORE = """\
Give pictures, or one bundle. Each group is one line of JSON: the picture to
keep (the largest file; the first of equals), and its duplicates, each with its
score (cosine similarity to the one that is kept) and whether it is the same
file byte for byte. Nothing is deleted.

Two pictures count as duplicates from --threshold on. At 0.9 most copies that
were recompressed, recoloured or mirrored are found, few that were cropped or
framed, and some other photographs of the same thing are found too; at 0.95
hardly any of those, and half as many copies. The score knows no geometry: look
before you delete.

examples:
  python -m embeddings dedupe photos/
  python -m embeddings dedupe photos.bundle --threshold 0.95
  python -m embeddings dedupe photos/ | jq -r '.duplicates[].id'
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `dedupe`."""
    pictures_argument(parser)
    parser.add_argument(
        "--threshold",
        type=score,
        default=0.9,
        metavar="SCORE",
        help="the least score of a duplicate, above 0 and at most 1 (%(default)s)",
    )
    pipeline_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Find duplicates; 0, or 3 when a picture could not be used. Raises `EmbeddingsError`."""
    from embeddings.duplicates import groups

    ids, vectors, about, failed = _gathered(options)
    sizes = np.array([row.get("bytes") or 0 for row in about], np.int64)
    digests = [row.get("sha256") for row in about]
    watched = progress(
        groups(vectors, options.threshold, digests, weights=sizes), None, "group", options.quiet
    )
    count = duplicates = 0
    for group in watched:
        count, duplicates = count + 1, duplicates + len(group.duplicates)
        line(
            keep=ids[group.keep],
            duplicates=[
                {"id": ids[one.at], "score": round(one.score, 6), "identical": one.identical}
                for one in group.duplicates
            ],
        )
    if not options.quiet:
        say(
            f"{counted(len(ids), 'picture')}: {counted(count, 'group')} with "
            f"{counted(duplicates, 'duplicate')}."
        )
    return SOME_FAILED if failed else 0


def _gathered(options: argparse.Namespace) -> tuple[Any, Any, Any, int]:
    """Ids, vectors (N, D), metadata of each picture, and the number of unusable pictures."""
    from embeddings.bundle import load
    from embeddings.bundle.manifest import NAME

    if any((Path(one) / NAME).is_file() for one in options.pictures):
        if len(options.pictures) > 1:
            raise InputError("Give pictures, or one bundle alone.")
        if (options.pipeline, *ways(options).values()) != (DEFAULT_PIPELINE, "auto", None, "cpu"):
            raise InputError("A bundle has its vectors already: leave out what would compute them.")
        bundle = load(options.pictures[0])
        return bundle.ids, bundle.vectors, bundle.metadata, 0
    from embeddings.cli.embedding_rows import Rows
    from embeddings.cli.inputs import found
    from embeddings.pipelines import pipeline

    pictures = found(options.pictures, options.all_files)
    with patience(options.quiet):
        rows = Rows(pictures, pipeline(options.pipeline, **ways(options)))
    records = list(progress(rows, len(pictures), "picture", options.quiet))
    vectors = np.empty((len(records), rows.embed.recipe.dimension), np.float32)
    for at, row in enumerate(records):
        vectors[at] = row.pop("vector")
    return [row["id"] for row in records], vectors, records, rows.failed
