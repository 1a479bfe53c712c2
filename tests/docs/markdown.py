"""Just enough of Markdown to hold the documentation against the code."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.installation import ROOT, clean_environment

PAGES = sorted(
    path for pattern in ("*.md", "docs/*.md", "deploy/*.md") for path in ROOT.glob(pattern)
)


class Block(NamedTuple):
    """A fenced block: the headings above it, the word behind its fence, and what it holds."""

    headings: tuple[str, ...]
    kind: str
    text: str


def tables(path: Path) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Yield each table with the heading above it, as rows by column name."""
    heading = ""
    names: list[str] = []
    rows: list[dict[str, str]] = []
    for line in [*path.read_text().splitlines(), ""]:
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not names:
                names = cells
            elif not set("".join(cells)) <= set("- "):
                assert len(cells) == len(names), line
                rows.append(dict(zip(names, cells, strict=True)))
            continue
        if names:
            yield heading, rows
            names, rows = [], []
        if line.startswith("#"):
            heading = line.lstrip("# ")


def blocks(path: Path) -> Iterator[Block]:
    headings: dict[int, str] = {}
    kind: str | None = None
    lines: list[str] = []
    for line in path.read_text().splitlines():
        if kind is not None:
            if line == "```":
                yield Block(tuple(headings.values()), kind, "\n".join(lines))
                kind = None
            else:
                lines.append(line)
        elif line.startswith("```"):
            kind, lines = line[3:], []
        elif match := re.match(r"(#+) (.+)", line):
            level = len(match[1])
            headings = {depth: text for depth, text in headings.items() if depth < level}
            headings[level] = match[2]


def code(cell: str) -> str:
    """What a cell that is one piece of code says, without its backquotes; '' for another cell."""
    match = re.fullmatch(r"`([^`]*)`", cell)
    return match[1] if match else ""


def prose(path: Path) -> str:
    """The text without its fenced blocks."""
    return re.sub(r"(?ms)^```.*?^```$", "", path.read_text())


def run(*parts: str) -> list[str]:
    """Run a page's examples as one program without the application; return its output's lines."""
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join(parts)],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()
