"""JSON Lines format of bundles: {"id": ..., "metadata": {...}, "vector": [...]}."""

import contextlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings.bundle.formats import Block, no_vectors, rows_at_once, vector_text

NAME = "rows.jsonl"
_ID, _METADATA, _VECTOR, _END = b'{"id": ', b', "metadata": ', b', "vector": ', b"}\n"


class Writer:
    """Writes `rows.jsonl`."""

    def __init__(self, folder: Path, dimension: int) -> None:
        self._file = (folder / NAME).open("wb")

    def write(self, ids: list[str], metadata: list[str], vectors: NDArray[np.float32]) -> None:
        for one, row, vector in zip(ids, metadata, vector_text.texts(vectors), strict=True):
            quoted = json.dumps(one, ensure_ascii=False)
            parts = _ID, quoted.encode(), _METADATA, row.encode(), _VECTOR, vector.encode(), _END
            self._file.write(b"".join(parts))

    def close(self) -> None:
        self._file.close()

    def abandon(self) -> None:
        with contextlib.suppress(Exception):
            self._file.close()


class Reader:
    """Reads what `Writer` wrote, by the fixed order of the keys in a line.

    Numbers are parsed to float32 directly: a detour by float64 would round twice.
    """

    def __init__(self, folder: Path, count: int, dimension: int) -> None:
        self._path, self._dimension = folder / NAME, dimension

    def blocks(self, *, vectors: bool) -> Iterator[Block]:
        rows = rows_at_once(self._dimension)
        with self._path.open("rb") as file:
            while lines := list(itertools.islice(file, rows)):
                ids, metadata, numbers_read = zip(*map(_parts, lines), strict=True)
                read = no_vectors(len(ids))
                if vectors:
                    read = vector_text.vectors(numbers_read, self._dimension)
                yield Block(list(ids), list(metadata), read)

    def mapped(self) -> NDArray[np.float32] | None:
        return None


def _parts(line: bytes) -> tuple[str, str, str]:
    """Id, metadata and vector of a line, the last two as text.

    Raises `ValueError` when the line has another layout.
    """
    # Quotation marks in an id are escaped, and a vector has none.
    end, behind = line.find(_METADATA), line.rfind(_VECTOR)
    if not line.startswith(_ID) or not line.endswith(_END) or not 0 < end < behind:
        raise ValueError(f"a line of {NAME} is none that a bundle has")
    one = json.loads(line[len(_ID) : end])
    if not isinstance(one, str):
        raise ValueError(f"an id of {NAME} is no text")
    metadata = line[end + len(_METADATA) : behind].decode()
    return one, metadata, line[behind + len(_VECTOR) : -len(_END)].decode()
