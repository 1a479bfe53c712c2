"""Tables of rows: text for a terminal, HTML with thumbnails for a notebook."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embeddings.errors import InputError
from embeddings.flow.collection.rows import VALUE, is_failed
from embeddings.flow.display.cells import html_cell, html_text, text_cell
from embeddings.flow.display.text_width import aligned, cut, one_line, width

_GAP = "  "
_MIN_WIDTH = 4  # characters; columns are not cut below it
_PLACE = ""  # heading of the row numbers

_CELL = 'style="padding:2px 8px;text-align:left"'


@dataclass(frozen=True)
class Shown:
    """Rows for display: `str()` is a table for a terminal, `_repr_html_` for a notebook.

    `rows` are the rows to show; `more` is whether others follow. Pictures that are paths are opened
    for the notebook only.
    """

    rows: tuple[Any, ...]
    more: bool = False

    def __str__(self) -> str:
        """A table of at most the width of the terminal; values that do not fit are cut."""
        if not self.rows:
            return "no rows"
        room = shutil.get_terminal_size().columns
        names = _names(self.rows)
        table = [[_PLACE, *map(one_line, names)]]
        for number, row in enumerate(self.rows, 1):
            columns = {} if is_failed(row) else _columns(row)
            cells = [text_cell(columns[name]) if name in columns else "" for name in names]
            table.append([str(number), *cells])
        fits = max(3, (room + len(_GAP)) // (_MIN_WIDTH + len(_GAP)))
        if len(table[0]) > fits:  # too many columns: some are left out
            table = [[*line[: fits - 1], "" if place else "…"] for place, line in enumerate(table)]
        widths = _fitted([max(map(width, column)) for column in zip(*table, strict=True)], room)
        lines = [
            _GAP.join(aligned(cut(cell, one), one) for cell, one in zip(line, widths, strict=True))
            for line in table
        ]
        for place, row in enumerate(self.rows, 1):
            if is_failed(row):  # spans all columns
                begun = aligned(str(place), widths[0]) + _GAP
                lines[place] = begun + cut(text_cell(row), room - width(begun))
        lines.insert(1, _GAP.join("─" * one for one in widths))
        return "\n".join(line.rstrip() for line in [*lines, *(["…"] if self.more else [])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """A self-contained table: styles and thumbnails are inline."""
        if not self.rows:
            return "<p>no rows</p>"
        names = _names(self.rows)
        head = "".join(f"<th {_CELL}>{html_text(name)}</th>" for name in (_PLACE, *names))
        body = []
        for number, row in enumerate(self.rows, 1):
            if is_failed(row):
                cells = f'<td {_CELL} colspan="{max(1, len(names))}">{html_cell(row)}</td>'
            else:
                columns = _columns(row)
                cells = "".join(
                    f"<td {_CELL}>{html_cell(columns[name]) if name in columns else ''}</td>"
                    for name in names
                )
            body.append(f"<tr><th {_CELL}>{number}</th>{cells}</tr>")
        more = "<p>…</p>" if self.more else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>{more}"


def shown(rows: Sequence[Any], *, limit: int) -> Shown:
    """The first `limit` rows, for display.

    Columns are those of dictionaries, and "value" for other rows. Raises `InputError` when the
    limit is below 1.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InputError(f"The limit of shown rows must be 1 or more, not {limit!r}.")
    return Shown(tuple(rows[:limit]), len(rows) > limit)


def _columns(row: Any) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        return {VALUE: row}
    return {str(name): value for name, value in row.items()}


def _names(rows: Sequence[Any]) -> list[str]:
    names: dict[str, None] = {}
    for row in rows:
        if not is_failed(row):
            names.update(dict.fromkeys(_columns(row)))
    return list(names) or [VALUE]


def _fitted(widths: list[int], room: int) -> list[int]:
    """Column widths that fit into `room`; the widest are cut first."""
    room -= len(_GAP) * (len(widths) - 1)
    while sum(widths) > room:
        widest = max(widths)
        if widest <= _MIN_WIDTH:
            break
        below = max([one for one in widths if one < widest], default=_MIN_WIDTH)
        many = widths.count(widest)
        step = min(widest - max(below, _MIN_WIDTH), -(-(sum(widths) - room) // many))
        widths = [one - max(1, step) if one == widest else one for one in widths]
    return widths
