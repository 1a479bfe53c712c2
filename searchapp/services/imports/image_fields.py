"""Validate the fields of an imported image: title, label, tags, metadata."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

TITLE_LENGTH, LABEL_LENGTH, TAG_LENGTH = 255, 120, 60  # characters
MAX_TAGS = 50
METADATA_BYTES = 16_384
METADATA_DEPTH = 20
KNOWN = ("title", "label", "tags", "metadata", "box")


def title(value: Any) -> str:
    """Raises `ValueError` with a sentence for users, like all functions here."""
    return _text(value, TITLE_LENGTH)


def label(value: Any) -> str:
    return _text(value, LABEL_LENGTH)


def tags(value: Any) -> tuple[str, ...]:
    """Accept a list of words, or one text with words separated by commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, Iterable) or isinstance(parts, Mapping):
        raise ValueError("Tags are a list of words.")
    words = dict.fromkeys(_text(part, TAG_LENGTH) for part in parts)
    words.pop("", None)
    if len(words) > MAX_TAGS:
        raise ValueError(f"At most {MAX_TAGS} tags are kept.")
    return tuple(words)


def metadata(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError('Metadata is a JSON object, such as {"year": 1969}.')
    try:
        # NaN, infinite numbers and lone surrogates are not JSON that every parser accepts.
        written = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise ValueError("Metadata holds something that is not JSON.") from None
    if len(written) > METADATA_BYTES:
        raise ValueError(f"At most {METADATA_BYTES} bytes of metadata are kept.")
    level: list[Any] = [value]
    for _ in range(METADATA_DEPTH):
        inner: list[Any] = []
        for each in level:
            inner += [*each, *each.values()] if isinstance(each, dict) else each
        if any(isinstance(each, str) and "\0" in each for each in inner):
            raise ValueError("The character NUL cannot be kept.")
        level = [each for each in inner if isinstance(each, dict | list)]
        if not level:
            return value
    raise ValueError(f"At most {METADATA_DEPTH} levels of nesting are kept.")


def checked(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a file as stored with its row, without empty ones.

    Raises `ValueError` with a sentence for what cannot be stored.
    """
    fields: dict[str, Any] = {
        "title": title(raw.get("title") or ""),
        "label": label(raw.get("label") or ""),
        "tags": list(tags(raw.get("tags") or ())),
        "metadata": metadata(raw.get("metadata") or {}),
        "box": raw.get("box"),
    }
    return {name: value for name, value in fields.items() if value}


def _text(value: Any, most: int) -> str:
    if isinstance(value, bool | int | float):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError("This is not text.")
    if "\0" in value:
        raise ValueError("The character NUL cannot be kept.")
    text = value.strip()
    if len(text) > most:
        raise ValueError(f"'{text[:20]}…' has more than {most} characters.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("A half of a character (a lone surrogate) cannot be kept.") from None
    return text
