"""No import cycles between modules: `python -m tests.import_cycles`.

Imports in functions and under `TYPE_CHECKING` count. Names that a package's `__init__` looks up
by text on first use (`__getattr__`) are no imports.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
_LEFT_OUT = ("searchapp.migrations",)  # written by Django


def packages(root: Path) -> list[str]:
    """Return the names of the Python packages in a folder."""
    return sorted(path.parent.name for path in root.glob("*/__init__.py"))


def cycles(names: Sequence[str]) -> Iterator[list[str]]:
    """Yield the import cycles of these packages, each as lines "importer imports imported".

    One import of each is then left out of account, until there are no more. The packages must be
    on the path.
    """
    graph = grimp.build_graph(*names, cache_dir=None)
    for package in graph.modules & set(_LEFT_OUT):
        for module in {package, *graph.find_descendants(package)}:
            graph.remove_module(module)
    imports = {
        name: sorted(graph.find_modules_directly_imported_by(name))
        for name in sorted(graph.modules)
    }
    while True:
        try:
            TopologicalSorter(imports).prepare()
        except CycleError as error:
            # Each module is imported by the next one; the first one is the last one, too.
            cycle = error.args[1][::-1]
        else:
            return
        yield [_line(graph, *pair) for pair in pairwise(cycle)]
        imports[cycle[0]].remove(cycle[1])


def _line(graph: grimp.ImportGraph, importer: str, imported: str) -> str:
    details = graph.get_import_details(importer=importer, imported=imported)
    lines = " and ".join(str(one["line_number"]) for one in details)
    return f"{importer} imports {imported} (line {lines})"


def main() -> None:
    """Print every import cycle; exit with 1 if there are any."""
    printed = False
    for lines in cycles(packages(ROOT)):
        print("An import cycle:", *lines, sep="\n  ")
        printed = True
    sys.exit(printed)


if __name__ == "__main__":
    main()
