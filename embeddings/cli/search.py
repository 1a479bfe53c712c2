"""`search` command: find the most similar pictures of a bundle, by picture or by text."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from embeddings.cli.options import (
    path,
    positive,
    quiet_argument,
    runtime_arguments,
    score,
    ways,
)
from embeddings.cli.output import SOME_FAILED, line, patience, say
from embeddings.errors import InputError, RecipeError, UnknownName
from embeddings.recipes import Recipe

if TYPE_CHECKING:
    from embeddings.bundle import Bundle

MORE = """\
Each query is one line of JSON: the query, and its hits with id, score (cosine
similarity, -1 to 1) and metadata, the best first. Pictures are embedded with
the bundle's own recipe, so that scores mean what they should. Words need a
bundle of text vectors (embed --text).

examples:
  python -m embeddings search photos.bundle picture.jpg
  python -m embeddings search photos.bundle queries/ -k 3 --at-least 0.8
  python -m embeddings search photos.bundle --id photos/cat.jpg
  python -m embeddings search photos-text.bundle --text 'a red car' -k 3
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `search`."""
    parser.add_argument("bundle", type=path, metavar="BUNDLE", help="what `embed -o` wrote")
    parser.add_argument(
        "pictures",
        nargs="*",
        metavar="PICTURE",
        help="a file, or a folder with all below it; - reads paths from stdin",
    )
    parser.add_argument(
        "--text", action="append", default=[], metavar="WORDS", help="search by words"
    )
    parser.add_argument(
        "--id", action="append", default=[], help="search by a picture of the bundle itself"
    )
    parser.add_argument(
        "-k",
        "--top-k",
        type=positive,
        default=10,
        metavar="N",
        help="how many hits for a query, at most (%(default)s)",
    )
    parser.add_argument(
        "--at-least", type=score, metavar="SCORE", help="leave out hits with a lower score"
    )
    parser.add_argument(
        "--all-files",
        action="store_true",
        help="try every file of a folder, also those not named like a picture",
    )
    parser.add_argument(
        "--no-verify", action="store_true", help="trust the bundle, whose checksums take time"
    )
    quiet_argument(parser)
    runtime_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Search; 0, or 3 when a query picture could not be used. Raises `EmbeddingsError`."""
    from embeddings.bundle import load
    from embeddings.flow.collection.vector_search import Searcher

    if not (options.pictures or options.text or options.id):
        raise InputError("Give a picture, --text or --id to search for.")
    bundle = load(options.bundle, verify=not options.no_verify)
    searcher = Searcher(bundle.vectors, top_k=options.top_k)
    metadata = bundle.metadata
    queries = _Queries(options, bundle)
    for query, vector in queries:
        matches = searcher(vector)
        hits = [
            {"id": bundle.ids[at], "score": round(float(score), 6), "metadata": metadata[at]}
            for at, score in matches
            if options.at_least is None or score >= options.at_least
        ]
        line(query=query, hits=hits)
    return SOME_FAILED if queries.failed else 0


class _Queries:
    """Pairs of a query, as it is printed, and its vector."""

    def __init__(self, options: argparse.Namespace, bundle: "Bundle") -> None:
        self._options = options
        self._bundle = bundle
        self.failed = 0

    def __iter__(self) -> Iterator[tuple[dict[str, str], Any]]:
        if self._options.id:
            yield from self._stored()
        if self._options.text:
            yield from self._words()
        if self._options.pictures:
            yield from self._pictures()

    def _stored(self) -> Iterator[tuple[dict[str, str], Any]]:
        places = {one: at for at, one in enumerate(self._bundle.ids)}
        for picture_id in self._options.id:
            if picture_id not in places:
                raise UnknownName("picture in this bundle", picture_id, places)
            yield {"id": picture_id}, self._bundle.vectors[places[picture_id]]

    def _words(self) -> Iterator[tuple[dict[str, str], Any]]:
        from embeddings.text.encoder import text_encoder

        try:
            encoder = text_encoder(self._bundle.recipe)
        except RecipeError as error:
            raise InputError(
                "This bundle has no vectors to search by words: write one with `embed --text`."
            ) from error
        if encoder.approximate and not self._options.quiet:
            say(encoder.note)
        yield from zip(
            ({"text": words} for words in self._options.text),
            encoder.encode(self._options.text),
            strict=True,
        )

    def _pictures(self) -> Iterator[tuple[dict[str, str], Any]]:
        from embeddings.cli.embedding_rows import Rows
        from embeddings.cli.inputs import found

        pictures = found(self._options.pictures, self._options.all_files)
        # The operators of a graph have their own runtime.
        chosen = ways(self._options) if isinstance(self._bundle.recipe, Recipe) else {}
        with patience(self._options.quiet):
            embed = self._bundle.pipeline(**chosen)
        rows = Rows(pictures, embed)
        for row in rows:
            yield {"picture": row["id"]}, row["vector"]
        self.failed = rows.failed
