"""FAISS export: an index of a bundle, and a Parquet file that maps its keys to ids."""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.atomic_write import Destination, written_file
from embeddings.bundle.manifest import sha256
from embeddings.bundle.optional_packages import needed
from embeddings.bundle.rows import Rows
from embeddings.errors import InputError, OutputError

BESIDE = ".ids.parquet"
_SHA256 = re.compile("[0-9a-f]{64}")


def to_faiss(bundle: Rows, path: Destination) -> int:
    """Write an exact inner product index to `path`; return the number of its vectors.

    The index is an `IndexIDMap2` over an `IndexFlatIP`. A key is the first 63 bits of a SHA-256: of
    the metadata's `sha256` (64 hex digits) if there is one, else of the id. Keys therefore do not
    depend on the other rows, and equal content is indexed once. `<path>.ids.parquet` has one row
    for each row of the bundle (`key`, `id`, `sha256`, `metadata` as JSON text). Its file metadata
    holds `fingerprint`, `recipe` and `index_sha256`, the digest of the index it belongs to.

    All vectors are held in memory. Raises `InputError` when a `sha256` is malformed or two contents
    share a key, `OutputError` when a file cannot be written, `BundleError` when the bundle is
    damaged, and `PackageMissing` when a package is not installed.
    """
    faiss = needed("faiss", "faiss-cpu", "An index of FAISS")
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(bundle.manifest["dimension"]))
    target = Path(path).absolute()
    # The index is moved into place last, so that it never exists without its table of keys.
    with (
        written_file(target) as draft,
        written_file(f"{target}{BESIDE}") as beside,
        _writer(beside) as writer,
    ):
        known: dict[int, str] = {}
        for batch in bundle.batches():
            digests = list(map(_content, batch.ids, batch.metadata))
            keys = list(map(_key, digests))
            fresh = [
                at
                for at, (key, digest) in enumerate(zip(keys, digests, strict=True))
                if _is_fresh(known, key, digest, batch.ids[at])
            ]
            if fresh:
                chosen = np.array([keys[at] for at in fresh], np.int64)
                index.add_with_ids(np.ascontiguousarray(batch.vectors[fresh]), chosen)
            texts = [json.dumps(row, ensure_ascii=False) for row in batch.metadata]
            _write(writer, keys, batch.ids, digests, texts)
        try:
            faiss.write_index(index, str(draft))
        except RuntimeError as error:
            raise OutputError(f"{target} cannot be written: {error}") from error
        facts = {
            "fingerprint": bundle.fingerprint,
            "recipe": json.dumps(bundle.manifest["recipe"]),
            "index_sha256": sha256(draft),
        }
        writer.add_key_value_metadata(facts)
    return int(index.ntotal)


def _content(one: str, metadata: Mapping[str, Any]) -> str:
    """The SHA-256 of the content that a vector was computed from."""
    digest = metadata.get("sha256")
    if digest is None:
        return hashlib.sha256(one.encode()).hexdigest()
    if not isinstance(digest, str) or _SHA256.fullmatch(digest) is None:
        raise InputError(
            f"The metadata's sha256 of {one!r} must be 64 hexadecimal digits, not {digest!r}."
        )
    return digest


def _key(digest: str) -> int:
    return int(digest[:16], 16) >> 1


def _is_fresh(known: dict[int, str], key: int, digest: str, one: str) -> bool:
    existing = known.get(key)
    if existing is None:
        known[key] = digest
        return True
    if existing != digest:
        raise InputError(
            f"The contents {existing} and {digest} (of {one!r}) have the same key {key}: an index "
            "cannot tell them apart. Leave one of them out."
        )
    return False


@contextlib.contextmanager
def _writer(path: Path) -> Iterator[Any]:
    pa = needed("pyarrow", "pyarrow", "The file beside an index")
    parquet = needed("pyarrow.parquet", "pyarrow", "The file beside an index")
    schema = pa.schema({"key": pa.int64(), **dict.fromkeys(_TEXTS, pa.string())})
    with path.open("wb") as file, parquet.ParquetWriter(file, schema) as writer:
        yield writer


_TEXTS = ("id", "sha256", "metadata")


def _write(
    writer: Any, keys: list[int], ids: list[str], digests: list[str], metadata: list[str]
) -> None:
    import pyarrow as pa

    columns = {"key": keys, **dict(zip(_TEXTS, (ids, digests, metadata), strict=True))}
    writer.write_table(pa.table(columns, schema=writer.schema))
