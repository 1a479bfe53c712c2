"""Scalars stored beside vectors in Milvus for filtering: tokens, numbers, dates, text prefixes.

User input is never stored verbatim, and so never occurs in an expression:

- `t`: tokens, 60-bit hashes of statements such as 'the label is cat' or 'a tag is red';
- `n_…`, `d_…`: numbers and dates (seconds since 1970), by a hash of the field's name;
- `s_…`: prefixes of folded texts, as the hexadecimal digits of their UTF-8, which sort in the order
  of the characters.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from searchapp.models import Image
from searchapp.services.filters.fields import (
    FIXED,
    METADATA,
    color_of,
    date_of,
    fold,
    number_of,
    orientation_of,
    seconds_of,
    words_in,
)
from searchapp.services.filters.tree import MAX_PREFIX_LENGTH

Scalar = float | str | list[int]
Scalars = dict[str, Scalar]
TOKENS = "t"
# A digest of all other scalars, by which the audit detects stale ones.
SUM = "digest"
# Limits, because Milvus stores at most 64 KB of scalars per row.
MAX_METADATA_FIELDS = 100  # the first ones by name
MAX_TOKENS = 1000
MAX_WORDS = 30  # the first ones of a text
_IS, _WORD, _THERE, _NUMBER, _DATE, _TEXT = "is", "word", "there", "number", "date", "text"


def _digest(size: int, *parts: str) -> bytes:
    # Length prefixes make the encoding of a list of parts unique.
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=size).digest()


@lru_cache(maxsize=50_000)  # many images share the same few tokens
def _token(*parts: str) -> int:
    return int.from_bytes(_digest(8, *parts)) >> 4


def value_token(field: str, value: str | float | bool) -> int:
    """Return the token for 'the field equals this value' or 'the value is among its words'."""
    if isinstance(value, bool):
        return _token(field, _IS, "true" if value else "false")
    if isinstance(value, str):
        return _is(field, fold(value))
    return _token(field, _NUMBER, repr(value + 0.0))


def _is(field: str, folded: str) -> int:
    return _token(field, _IS, folded)


def word_token(field: str, word: str) -> int:
    """Return the token for 'this folded word occurs in the text of the field'."""
    return _token(field, _WORD, word)


def there_token(field: str) -> int:
    """Return the token for 'the field has a value'."""
    return _token(field, _THERE)


def number_token(field: str) -> int:
    return _token(field, _THERE, _NUMBER)


def date_token(field: str) -> int:
    return _token(field, _THERE, _DATE)


def text_token(field: str) -> int:
    return _token(field, _THERE, _TEXT)


# Every row has this token: a row without tokens has no scalars yet.
ROW_TOKEN = _token("row")


def number_key(field: str) -> str:
    return f"n_{_short(field)}"


def date_key(field: str) -> str:
    return f"d_{_short(field)}"


def text_key(field: str) -> str:
    return f"s_{_short(field)}"


@lru_cache(maxsize=1000)
def _short(field: str) -> str:
    """Return a name of letters, digits and underscores only, for use in expressions."""
    return field if field in FIXED else _digest(8, field).hex()


def beginning(text: str) -> str:
    """Return the stored form of a text's prefix."""
    return _beginning(fold(text))


def _beginning(folded: str) -> str:
    return folded[:MAX_PREFIX_LENGTH].encode("utf-8", "replace").hex()


def scalars_of(image: Image) -> Scalars:
    """Return the scalars of an image whose `SCALAR_COLUMNS` are loaded."""
    metadata: Mapping[str, Any] = image.metadata if isinstance(image.metadata, dict) else {}
    metadata_fields = (METADATA + name for name in sorted(metadata)[:MAX_METADATA_FIELDS])
    facts = facts_of(image, (*FIXED, *metadata_fields))
    return {**facts, SUM: _digest(8, json.dumps(facts, sort_keys=True)).hex()}


def facts_of(image: Image, fields: Iterable[str]) -> Scalars:
    """Return the scalars of some fields of an image, without the digest."""
    builder = _Made()
    for field in fields:
        if field in _FIXED:
            _FIXED[field](builder, image)
        elif isinstance(image.metadata, dict):
            builder.metadata(field, image.metadata.get(field.removeprefix(METADATA)))
    return {TOKENS: list(dict.fromkeys(builder.tokens))[:MAX_TOKENS], **builder.values}


class _Made:
    def __init__(self) -> None:
        self.tokens: list[int] = [ROW_TOKEN]
        self.values: Scalars = {}

    def text(self, field: str, value: str) -> None:
        folded = fold(value)
        if not folded:
            return
        self.tokens += [there_token(field), text_token(field), _is(field, folded)]
        self.tokens += [word_token(field, word) for word in words_in(folded)[:MAX_WORDS]]
        self.values[text_key(field)] = _beginning(folded)

    def words(self, field: str, values: Any) -> None:
        words = list(_flat(values))
        if not words:
            return
        self.tokens.append(there_token(field))
        for value in words:
            self.tokens += _is_tokens(field, value)

    def number(self, field: str, value: float) -> None:
        self.tokens += [there_token(field), number_token(field), value_token(field, value)]
        self.values[number_key(field)] = value

    def choice(self, field: str, value: str) -> None:
        if value:
            self.tokens += [there_token(field), value_token(field, value)]

    def side(self, field: str, value: int | None) -> None:
        if value is not None:
            self.number(field, float(value))

    def date(self, field: str, seconds: float) -> None:
        self.tokens += [there_token(field), date_token(field)]
        self.values[date_key(field)] = seconds

    def metadata(self, field: str, value: Any) -> None:
        """Add a metadata value; text that reads as a number or a date is stored as both."""
        if _is_blank(value):
            return
        self.tokens.append(there_token(field))
        if isinstance(value, list):
            self.words(field, value)
            return
        if isinstance(value, bool):
            self.tokens.append(value_token(field, value))
            return
        number, seconds = number_of(value), date_of(value)
        if isinstance(value, str):
            self.text(field, value)
        if number is not None:
            self.number(field, number)
        if seconds is not None:
            self.date(field, seconds)


def _is_blank(value: Any) -> bool:
    """Whether a metadata value is none: null, text of white space, an empty object, or a list of
    nothing but these."""
    if isinstance(value, str):
        return not fold(value)
    if isinstance(value, list):
        return all(map(_is_blank, value))
    return value is None or value == {}


def _flat(values: Any) -> Iterator[str | float | bool]:
    """Yield the texts, numbers and booleans of a list, without nested values."""
    for value in values if isinstance(values, list) else []:
        if isinstance(value, bool) or (isinstance(value, str) and fold(value)):
            yield value
        elif isinstance(value, int | float) and (number := number_of(value)) is not None:
            yield number


def _is_tokens(field: str, value: str | float | bool) -> list[int]:
    """Return the token of a value and, for text that reads as a number, that of the number."""
    tokens = [value_token(field, value)]
    if isinstance(value, str) and (number := number_of(value)) is not None:
        tokens.append(value_token(field, number))
    return tokens


_FIXED: dict[str, Callable[[_Made, Image], None]] = {
    "label": lambda builder, image: builder.text("label", image.label),
    "tags": lambda builder, image: builder.words("tags", image.tags),
    "title": lambda builder, image: builder.text("title", image.title),
    "name": lambda builder, image: builder.text("name", image.name),
    "orientation": lambda builder, image: builder.choice(
        "orientation", orientation_of(image.width, image.height)
    ),
    "color": lambda builder, image: builder.choice("color", color_of(image.color)),
    "format": lambda builder, image: builder.choice("format", image.format),
    "width": lambda builder, image: builder.side("width", image.width),
    "height": lambda builder, image: builder.side("height", image.height),
    "bytes": lambda builder, image: builder.side("bytes", image.bytes),
    "created": lambda builder, image: builder.date("created", seconds_of(image.created)),
}
