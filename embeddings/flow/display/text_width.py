"""Width of text in a terminal: East Asian characters take two columns, marks none."""

import unicodedata


def width(text: str) -> int:
    """The number of columns of a line of text."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def cut(text: str, room: int) -> str:
    """The text, shortened with an ellipsis to at most `room` columns.

    The end is cut; in a single word, such as a path, the middle.
    """
    if width(text) <= room:
        return text
    behind = 0 if " " in text else 2 * (room - 1) // 3
    end = _beginning(text[::-1], behind)[::-1]
    return _beginning(text, room - 1 - width(end)) + "…" + end


def _beginning(text: str, room: int) -> str:
    """The longest prefix that fits into `room` columns."""
    used = 0
    for place, character in enumerate(text):
        used += _columns(character)
        if used > room:
            return text[:place]
    return text


def aligned(text: str, room: int) -> str:
    """The text, padded with spaces to at least `room` columns."""
    return text + " " * (room - width(text))


def one_line(text: str) -> str:
    """The text with line breaks and control characters escaped."""
    return "".join(one if _is_shown(one) else repr(one)[1:-1] for one in text)


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _is_shown(character: str) -> bool:
    return character == " " or unicodedata.category(character) not in (
        "Cc",
        "Cs",
        "Cn",
        "Co",
        "Zl",
        "Zp",
        "Cf",
    )
