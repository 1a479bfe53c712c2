"""Table cells: a value as text for a terminal, or as HTML for a notebook."""

import base64
import html
import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from embeddings.errors import EmbeddingsError
from embeddings.flow.collection.empty import told
from embeddings.flow.collection.rows import is_failed, is_picture, is_time, plain
from embeddings.flow.collection.vector_search import Hits
from embeddings.flow.display.text_width import one_line
from embeddings.flow.sources.zip_archives import ZipMember

SIDE = 128  # pixels, of thumbnails in a notebook

_SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".webp",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
    ".avif",
    ".heic",
    ".heif",
)
# Longer texts are cut.
_MAX_TEXT_LENGTH = 200
_FEW = 3  # numbers of a vector, items of a list, hits; in text
_SOME = 10  # hits and pictures of a list; in a notebook
_BOX = (
    f"display:inline-block;width:{SIDE}px;margin:0 8px 4px 0;"
    "vertical-align:top;overflow-wrap:anywhere"
)


def text_cell(value: Any) -> str:
    """The value in one line of text."""
    return one_line(_text(value))


def html_cell(value: Any) -> str:
    """The value as escaped HTML; pictures, and paths and ZIP members of pictures, as thumbnails.

    Also inside of lists, tuples and search hits, the latter with their scores.
    """
    if isinstance(value, Hits):
        return _side_by_side([f"{html_cell(name)}<br>{score:.3f}" for name, score in value])
    if isinstance(value, list | tuple) and any(map(_may_be_picture, value)):
        return _side_by_side(list(map(html_cell, value)))
    picture = _thumbnail(value) if _may_be_picture(value) else None
    text = html_text(_text(value))
    if picture is None:
        return text
    image = f'<img src="{picture}" alt="{text}" title="{text}">'
    return image if is_picture(value) else f"{image}<br><small>{text}</small>"


def html_text(text: str) -> str:
    """Text as HTML, in one line, escaped."""
    return html.escape(one_line(text))


def _side_by_side(cells: list[str]) -> str:
    boxes = [f'<div style="{_BOX}">{cell}</div>' for cell in cells[:_SOME]]
    more = [f"… ({len(cells)})"] if len(cells) > _SOME else []
    return "".join([*boxes, *more])


def _text(value: Any) -> str:
    if is_failed(value):
        return f"failed: {told(value.exception)} (input: {_text(value.input)})"
    if isinstance(value, Image.Image):
        return f"{value.mode} {value.width}×{value.height}"
    if isinstance(value, np.ndarray) and value.ndim:
        return _array(value)
    if isinstance(value, Hits):
        return _few([_hit(*pair) for pair in value], "no hits")
    value = plain(value)
    if isinstance(value, str):
        return value if len(value) <= _MAX_TEXT_LENGTH else value[: _MAX_TEXT_LENGTH - 1] + "…"
    if isinstance(value, ZipMember):
        return f"{value.name} ({len(value):,} bytes)"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value):,} bytes"
    if isinstance(value, float):
        return f"{value:.6g}"
    if is_time(value):
        text: str = value.isoformat()
        return text
    if isinstance(value, Mapping):
        return "{" + _few([f"{key}: {_text(one)}" for key, one in value.items()], "") + "}"
    if isinstance(value, list | tuple):
        return "[" + _few([_text(one) for one in value], "") + "]"
    text = str(value)
    return text if len(text) <= _MAX_TEXT_LENGTH else text[: _MAX_TEXT_LENGTH - 1] + "…"


def _array(array: np.ndarray[Any, Any]) -> str:
    if is_picture(array):
        return f"uint8 {array.shape[1]}×{array.shape[0]}"
    numbers = array.reshape(-1)[:_FEW].tolist()
    first = " ".join(f"{one:.3g}" if isinstance(one, float) else str(one) for one in numbers)
    return f"{array.dtype} {array.shape} {first}" + (" …" if array.size > _FEW else "")


def _hit(name: Any, score: float) -> str:
    return f"{_text(name)} {score:.3f}"


def _few(items: list[str], nothing: str) -> str:
    more = [f"… ({len(items)})"] if len(items) > _FEW else []
    return ", ".join([*items[:_FEW], *more]) or nothing


def _may_be_picture(value: Any) -> bool:
    """Whether this is a picture, or a path or ZIP member with the suffix of one."""
    name = value.name if isinstance(value, ZipMember) else value
    if isinstance(name, str | os.PathLike):
        return str(name).lower().endswith(_SUFFIXES)
    return is_picture(value)


def _thumbnail(value: Any) -> str | None:
    """A thumbnail as a data: URL, or None when the picture cannot be decoded."""
    from embeddings.operators.decode.pillow import PillowDecode
    from embeddings.operators.thumbnails import shrink

    decoder = PillowDecode(**PillowDecode.canonical(draft_short_side=SIDE))  # type: ignore[arg-type]
    try:
        small = shrink(decoder(value), SIDE)
    except (EmbeddingsError, OSError):
        return None
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
