"""Reports of benchmarks: tables and paragraphs, as text and as a section of a Markdown file."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value below which `percent` (1 to 99) of `values` lie, interpolated."""
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


@dataclass(frozen=True)
class Table:
    """Rows of cells under column headings; the caller formats numbers."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def _lines(self, left: str, between: str, right: str) -> list[str]:
        columns = list(zip(self.headings, *self.rows, strict=True))
        widths = [max(len(cell) for cell in column) for column in columns]
        lines = []
        for row in (self.headings, *self.rows):
            cells = [
                cell.ljust(width) if place == 0 else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append((left + between.join(cells) + right).rstrip())
        rule = [
            "-" * width if place == 0 else "-" * (width - 1) + (":" if left else "-")
            for place, width in enumerate(widths)
        ]
        lines.insert(1, left + between.join(rule) + right)
        return lines

    def text(self) -> str:
        return "\n".join(self._lines("", "  ", ""))

    def markdown(self) -> str:
        return "\n".join(self._lines("| ", " | ", " |"))


Findings = Sequence[str | Table]


class NotHere(Exception):
    """This machine cannot run the benchmark; the message says what is missing. Not a failure."""


def aim(met: bool, target: str) -> str:
    """Return a sentence about an aim and whether it was met."""
    return f"(aim: {target}, {'met' if met else 'missed'})"


@dataclass(frozen=True)
class Section:
    """One benchmark's results: its command and machine, then paragraphs and tables in order."""

    name: str
    command: str
    machine: str
    parts: Findings

    def text(self) -> str:
        head = f"== {self.name} ==\n{self.command}\n{self.machine}"
        return "\n\n".join([head, *(p if isinstance(p, str) else p.text() for p in self.parts)])

    def markdown(self) -> str:
        head = f"`{self.command}`: {self.machine}"
        return "\n\n".join([head, *(p if isinstance(p, str) else p.markdown() for p in self.parts)])


def write_markdown(file: Path, section: Section) -> None:
    """Write the section between its marks in `file`; append both where there are none.

    The marks are the comments `<!-- begin NAME -->` and `<!-- end NAME -->`; text outside them is
    unchanged. If `file` is a folder, the section goes into the file NAME.md in it.
    """
    if file.is_dir():
        file = file / f"{section.name}.md"
        if not file.exists():
            file.write_text(f"# {section.name}\n", encoding="utf-8")
    begin, end = f"<!-- begin {section.name} -->", f"<!-- end {section.name} -->"
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    before, opened, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        before, after = (f"{text.rstrip()}\n\n" if text.strip() else ""), "\n"
    file.write_text(f"{before}{begin}\n{section.markdown()}\n{end}{after}", encoding="utf-8")
