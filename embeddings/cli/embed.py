"""`embed` command: compute vectors of pictures, print them or write a bundle."""

import argparse
import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.cli.options import FORMATS, path, pictures_argument, pipeline_arguments, ways
from embeddings.cli.output import SOME_FAILED, counted, line, patience, progress, say
from embeddings.errors import InputError

MORE = """\
With -o the vectors become a bundle: a folder with the vectors, their ids (the
paths as they were given), SHA-256 and size of each file, and a manifest that
says which recipe made them. A line of JSON tells each picture that could not
be used, and a last one what was written. Without -o each picture is a line
with its vector.

--text writes a second bundle, for searching by words: the pictures' vectors in
the space of a text encoder, from the same pass through the model.

examples:
  python -m embeddings embed photos/ -o photos.bundle
  python -m embeddings embed photos/ -o photos.bundle --text photos-text.bundle
  python -m embeddings embed cat.jpg dog.jpg | jq .vector[0]
  find . -newer last -name '*.jpg' | python -m embeddings embed - -o new.bundle
"""

# Rows written at once.
_ROWS = 256


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `embed`."""
    pictures_argument(parser)
    parser.add_argument("-o", "--output", type=path, metavar="BUNDLE", help="the folder to write")
    parser.add_argument(
        "--format", default="npy", choices=FORMATS, help="of the bundle's files (%(default)s)"
    )
    parser.add_argument(
        "--text", type=path, metavar="BUNDLE", help="also write vectors to search by words"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace bundles that are there")
    pipeline_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Embed; 0, or 3 when a picture could not be used. Raises `EmbeddingsError`."""
    from embeddings.cli.embedding_rows import Rows
    from embeddings.cli.inputs import found
    from embeddings.pipelines import pipeline

    if options.text and not options.output:
        raise InputError("--text writes a bundle beside that of -o: give both.")
    if options.text and _nested(options.output, options.text):
        raise InputError("-o and --text are two bundles: neither can be, or be in, the other.")
    pictures = found(options.pictures, options.all_files)
    with patience(options.quiet):
        embed = pipeline(options.pipeline, **ways(options))
        rows = Rows(pictures, embed, text=bool(options.text))
    started = time.monotonic()
    if options.output:
        _to_bundles(rows, options)
    else:
        for row in progress(rows, len(pictures), "picture", options.quiet):
            line(**row | {"vector": row["vector"].tolist()})
    seconds = time.monotonic() - started
    if not options.quiet:
        speed = rows.count / seconds
        failed = f"; {rows.failed:,} could not be used" if rows.failed else ""
        say(f"{counted(rows.count, 'picture')} in {seconds:.1f} s, {speed:,.1f} a second{failed}.")
    return SOME_FAILED if rows.failed else 0


def _to_bundles(rows: Any, options: argparse.Namespace) -> None:
    from embeddings.bundle import BundleWriter

    embed = rows.embed
    targets = {options.output: ("vector", embed.recipe)}
    if options.text:
        targets[options.text] = ("text_vector", embed.with_text().text_recipe)
    with contextlib.ExitStack() as stack:
        writers = {
            column: stack.enter_context(
                BundleWriter(
                    target,
                    recipe,
                    format=options.format,
                    runtime=embed.runtime,
                    precision=embed.precision,
                    device=embed.device,
                    overwrite=options.overwrite,
                )
            )
            for target, (column, recipe) in targets.items()
        }
        watched = progress(rows, len(rows.pictures), "picture", options.quiet)
        for chunk in _chunked(watched):
            ids = [row["id"] for row in chunk]
            about = [{"sha256": row["sha256"], "bytes": row["bytes"]} for row in chunk]
            for column, writer in writers.items():
                writer.add(ids, np.stack([row[column] for row in chunk]), about)
        if not rows.count:
            raise InputError(f"None of {counted(rows.failed, 'picture')} could be used.")
    for target, (_, recipe) in targets.items():
        line(bundle=target, count=rows.count, failed=rows.failed, fingerprint=recipe.fingerprint)


def _nested(one: str, other: str) -> bool:
    """Whether two paths are equal, or one is inside the other."""
    first, second = Path(one).resolve(), Path(other).resolve()
    return first == second or first in second.parents or second in first.parents


def _chunked(rows: Iterator[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    chunk = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
