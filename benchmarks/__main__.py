"""`python -m benchmarks [NAME …]`: run benchmarks and print their results."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import machine
from benchmarks.ingest import imports, ingest, kills
from benchmarks.installation import memory, startup
from benchmarks.library import bundles, collection, embed, gpu
from benchmarks.options import Options, parse
from benchmarks.quality import concepts, duplicates, geometry, quality
from benchmarks.report import Findings, NotHere, Section, write_markdown
from benchmarks.search import pages, query, scale, search

BENCHMARKS: dict[str, Callable[[Options], Findings]] = {
    "query": query.run,
    "search": search.run,
    "ingest": ingest.run,
    "memory": memory.run,
    "startup": startup.run,
    "embed": embed.run,
    "collection": collection.run,
    "gpu": gpu.run,
    "quality": quality.run,
    "duplicates": duplicates.run,
    "geometry": geometry.run,
    "sharing": bundles.run,
    "concepts": concepts.run,
    "import": imports.run,
    "pages": pages.run,
    "scale": scale.run,
    "kills": kills.run,
}


def main(arguments: list[str]) -> None:
    options = parse(arguments)
    for name in options.names:
        print(f"Running {options.command(name)} …", file=sys.stderr, flush=True)
        neighbours = machine.Neighbours()
        try:
            findings = BENCHMARKS[name](options)
        except NotHere as reason:
            print(f"{name}: {reason}\n", flush=True)
            continue
        # Other load on the machine affects speed, not quality.
        others = "." if name in ("quality", "duplicates") else f"; {neighbours.sentence()}"
        meanwhile = machine.describe() + others
        section = Section(name, options.command(name), meanwhile, findings)
        print(section.text() + "\n", flush=True)
        if options.markdown is not None:
            write_markdown(options.markdown, section)


if __name__ == "__main__":
    main(sys.argv[1:])
