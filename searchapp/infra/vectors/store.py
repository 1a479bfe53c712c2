"""`VectorStore`: vectors by image id, stored, searched, fetched and deleted.

The same code works with Milvus Lite behind our launcher, a Milvus server and a cluster. All of it
is safe to use from several threads and processes, and every write can be repeated.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from searchapp.infra.vectors.client import MilvusConnection
from searchapp.infra.vectors.errors import (
    CollectionMissing,
    CollectionNotLoaded,
    DimensionMismatch,
    InvalidVectors,
    VectorsError,
)

Result = TypeVar("Result")
Scalar = bool | int | float | str | list[int]

ID = "image_id"
VECTOR = "embedding"
METRIC = "COSINE"
# A "Strong" read on a Milvus server waits for its clock, for about 200 ms. A "Bounded" read uses
# the rows that have arrived. So each write ends with a Strong read, which returns once the rows are
# visible, and searches need not wait. Milvus Lite is always up to date.
STRONG = "Strong"
QUICK = "Bounded"

HNSW = {"M": 16, "efConstruction": 200}
MIN_EF = 64

# A row of 1,280 dimensions takes 5 KB. Milvus limits a message to 64 MB, a result to 16,384 rows.
ROWS_PER_WRITE = 1000
ROWS_PER_READ = 1000
IDS_PER_PAGE = 10_000

# Writes sometimes wait for compaction; loading reads the whole collection.
WRITE_SECONDS = 30.0
LOAD_SECONDS = 120.0


class Hit(NamedTuple):
    """An image and its cosine similarity to the query, -1 to 1."""

    image_id: int
    score: float


class VectorStore:
    """The vectors at `uri`. `timeout` (seconds) limits each call that reads.

    Every method raises `VectorsUnavailable` when Milvus cannot be reached or is not ready (at once
    when no server listens there), and works again when it is back. Raises `VectorsError` when a
    call fails for another reason.
    """

    def __init__(self, uri: str, token: str = "", timeout: float = 5.0) -> None:
        self._timeout = timeout
        self._connection = MilvusConnection(uri, token)

    # -- collections ---------------------------------------------------------------------

    def ensure_collection(self, name: str, dimension: int) -> None:
        """Make sure that collection `name` exists for vectors of `dimension` and is loaded.

        Raises `DimensionMismatch` when it exists for another dimension.
        """
        try:
            actual_dim = self._dimension(name)
        except CollectionMissing:
            actual_dim = self._create(name, dimension)
        if actual_dim != dimension:
            raise DimensionMismatch(
                f"Collection {name} holds vectors of {actual_dim} dimensions, not {dimension}. "
                "Use another collection for another model."
            )
        if not self._connection.is_lite():
            self._ensure_index(name)
        self._load(name)

    def _create(self, name: str, dimension: int) -> int:
        """Create the collection, unless another process has just done so; return its dimension."""

        def create(client: Any) -> None:
            from pymilvus import DataType

            # Scalars for filters are stored in the dynamic field.
            schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
            schema.add_field(ID, DataType.INT64, is_primary=True)
            schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=dimension)
            client.create_collection(
                name, schema=schema, consistency_level=QUICK, timeout=WRITE_SECONDS
            )

        try:
            self._connection.call(create)
        except VectorsError:
            try:
                return self._dimension(name)
            except CollectionMissing:
                pass
            raise
        return dimension

    def _dimension(self, name: str) -> int:
        described = self._connection.call(
            lambda client: client.describe_collection(name, timeout=self._timeout)
        )
        fields = {field["name"]: field for field in described["fields"]}
        return int(fields[VECTOR]["params"]["dim"])

    def _ensure_index(self, name: str) -> None:
        """Index the vectors on a Milvus server.

        Our launcher searches Milvus Lite exactly and needs no index: at 10,000 rows of 1,280
        dimensions that is faster than Milvus Lite's HNSW, and takes half the memory.
        """

        def index(client: Any) -> None:
            if client.list_indexes(name, field_name=VECTOR):
                return
            params = client.prepare_index_params()
            params.add_index(VECTOR, index_type="HNSW", metric_type=METRIC, params=HNSW)
            client.create_index(name, params, timeout=LOAD_SECONDS)

        self._connection.call(index)

    def _load(self, name: str) -> None:
        self._connection.call(lambda client: client.load_collection(name, timeout=LOAD_SECONDS))

    def drop(self, name: str) -> None:
        """Delete collection `name` and its vectors. Does nothing if it does not exist."""
        try:
            self._connection.call(
                lambda client: client.drop_collection(name, timeout=WRITE_SECONDS)
            )
        except CollectionMissing:
            return

    def collections(self) -> list[str]:
        """Return the names of all collections, sorted."""
        names = self._connection.call(lambda client: client.list_collections(timeout=self._timeout))
        return sorted(names)

    # -- rows ----------------------------------------------------------------------------

    def upsert(
        self,
        name: str,
        ids: Sequence[int],
        vectors: npt.NDArray[np.float32],
        scalars: Sequence[Mapping[str, Scalar]] | None = None,
    ) -> None:
        """Store one row for each of the N `ids`, replacing rows with the same id.

        `vectors` is float32 (N, D). `scalars`, if given, has a mapping for each row, whose fields
        can be used in the `filter` of a search. If an id occurs twice, the last row is stored.

        Raises `InvalidVectors` when shapes or values are invalid, and `CollectionMissing` when the
        collection does not exist.
        """
        rows = _rows(ids, vectors, scalars)
        self._write(
            name, lambda client, part: client.upsert(name, part, timeout=WRITE_SECONDS), rows
        )

    def delete(self, name: str, ids: Sequence[int]) -> None:
        """Delete the rows of `ids`. Unknown ids and a missing collection are ignored."""
        keys = [int(key) for key in ids]
        try:
            self._write(
                name,
                lambda client, part: client.delete(name, ids=part, timeout=WRITE_SECONDS),
                keys,
            )
        except CollectionMissing:
            return

    def search(
        self,
        name: str,
        vector: npt.NDArray[np.float32],
        k: int,
        filter: str | None = None,
        timeout: float | None = None,
    ) -> list[Hit]:
        """Return the `k` rows most similar to `vector` (D,), best first.

        `filter` is a Milvus expression, applied during the search, so that k rows are returned
        if that many match. Never build it from user input. `timeout` (seconds) overrides that of
        the store. A missing collection has no rows.

        Raises `InvalidVectors` when the shape or values of `vector` are invalid.
        """
        query = _checked(np.asarray(vector)[None], 1)
        try:
            results = self._on_loaded(
                name,
                lambda client: client.search(
                    name,
                    [query[0]],
                    limit=k,
                    filter=filter or "",
                    anns_field=VECTOR,
                    search_params={"params": {"ef": max(MIN_EF, 2 * k)}},
                    consistency_level=QUICK,
                    timeout=timeout or self._timeout,
                ),
            )
        except CollectionMissing:
            return []
        # Because of rounding, a server's cosine can be slightly above 1.
        return [Hit(int(hit.id), max(-1.0, min(1.0, hit.distance))) for hit in results[0]]

    def fetch(self, name: str, ids: Sequence[int]) -> dict[int, npt.NDArray[np.float32]]:
        """Return {id: vector (D,) float32} for those of `ids` that are stored."""
        keys = [int(key) for key in ids]
        vectors: dict[int, npt.NDArray[np.float32]] = {}
        try:
            for start in range(0, len(keys), ROWS_PER_READ):
                expression = f"{ID} in {keys[start : start + ROWS_PER_READ]}"
                for row in self._query(name, expression, [ID, VECTOR], QUICK):
                    vectors[int(row[ID])] = np.asarray(row[VECTOR], dtype=np.float32)
        except CollectionMissing:
            return {}
        return vectors

    def scalars(self, name: str, ids: Sequence[int], scalar: str) -> dict[int, Any]:
        """Return {id: value of `scalar` or None} for those of `ids` that are stored."""
        keys = [int(key) for key in ids]
        values: dict[int, Any] = {}
        try:
            for start in range(0, len(keys), ROWS_PER_READ):
                expression = f"{ID} in {keys[start : start + ROWS_PER_READ]}"
                for row in self._query(name, expression, [ID, scalar], STRONG):
                    values[int(row[ID])] = row.get(scalar)
        except CollectionMissing:
            return {}
        return values

    def known(self, name: str, ids: Sequence[int]) -> set[int]:
        """Return those of `ids` that are stored; none if the collection does not exist."""
        keys = [int(key) for key in ids]
        there: set[int] = set()
        try:
            for start in range(0, len(keys), ROWS_PER_READ):
                expression = f"{ID} in {keys[start : start + ROWS_PER_READ]}"
                there |= {int(row[ID]) for row in self._query(name, expression, [ID], STRONG)}
        except CollectionMissing:
            return set()
        return there

    def dimension(self, name: str) -> int | None:
        """Return the dimension of collection `name`; None if it does not exist."""
        try:
            return self._dimension(name)
        except CollectionMissing:
            return None

    def count(self, name: str) -> int:
        """Return the number of rows of collection `name`; 0 if it does not exist."""
        try:
            return int(self._query(name, "", ["count(*)"], STRONG)[0]["count(*)"])
        except CollectionMissing:
            return 0

    def ids(self, name: str) -> Iterator[int]:
        """Yield the ids of all rows of collection `name`; none if it does not exist."""
        try:
            pages = self._on_loaded(
                name,
                lambda client: client.query_iterator(
                    name,
                    batch_size=IDS_PER_PAGE,
                    output_fields=[ID],
                    consistency_level=STRONG,
                    timeout=self._timeout,
                ),
            )
            while page := self._connection.call(lambda _: pages.next()):
                yield from (int(row[ID]) for row in page)
        except CollectionMissing:
            return

    def ids_after(self, name: str, after: int, limit: int = IDS_PER_PAGE) -> list[int]:
        """Return the `limit` smallest ids above `after`, ascending; fewer at the end."""
        # The form that pymilvus' iterators use, which our launcher answers without a scan.
        expression = f"{ID} > {after} and ({ID} < {np.iinfo(np.int64).max})"
        try:
            pages = self._on_loaded(
                name,
                lambda client: client.query_iterator(
                    name,
                    batch_size=limit,
                    filter=expression,
                    output_fields=[ID],
                    consistency_level=STRONG,
                    timeout=self._timeout,
                ),
            )
            page = self._connection.call(lambda _: pages.next())
        except CollectionMissing:
            return []
        return sorted(int(row[ID]) for row in page)

    def ping(self) -> None:
        """Check that Milvus answers. Raises `VectorsUnavailable` when it does not."""
        self._connection.call(lambda client: client.list_collections(timeout=self._timeout))

    def close(self) -> None:
        """Close the connection; a later call opens a new one."""
        self._connection.close()

    # -- inside --------------------------------------------------------------------------

    def _write(
        self, name: str, operation: Callable[[Any, list[Any]], Any], rows: list[Any]
    ) -> None:
        """Call `operation` with the client and each part of `rows`; return when all are visible."""
        for start in range(0, len(rows), ROWS_PER_WRITE):
            part = rows[start : start + ROWS_PER_WRITE]

            def write(client: Any, part: list[Any] = part) -> Any:
                return operation(client, part)

            self._on_loaded(name, write)
        if rows and not self._connection.is_lite():
            self._query(name, f"{ID} in [0]", [ID], STRONG)

    def _query(
        self, name: str, expression: str, fields: list[str], consistency: str
    ) -> list[dict[str, Any]]:
        return self._on_loaded(
            name,
            lambda client: list(
                client.query(
                    name,
                    filter=expression,
                    output_fields=fields,
                    consistency_level=consistency,
                    timeout=self._timeout,
                )
            ),
        )

    def _on_loaded(self, name: str, operation: Callable[[Any], Result]) -> Result:
        """Call `operation`; if a restart has unloaded the collection, load it and call again."""
        try:
            return self._connection.call(operation)
        except CollectionNotLoaded:
            self._load(name)
            return self._connection.call(operation)


def _checked(vectors: npt.NDArray[Any], rows: int) -> npt.NDArray[np.float32]:
    """Return `vectors` as float32 (rows, D).

    Raises `InvalidVectors` when the shape is another, or a row is all zeros or not finite.
    """
    if vectors.ndim != 2 or len(vectors) != rows or not vectors.shape[1]:
        raise InvalidVectors(
            f"The vectors have shape {vectors.shape}; {rows} rows of one vector each are needed."
        )
    checked = np.ascontiguousarray(vectors, dtype=np.float32)
    if not np.isfinite(checked).all():
        raise InvalidVectors("The vectors contain numbers that are not finite (NaN or infinity).")
    if not checked.any(axis=1).all():
        raise InvalidVectors("A vector is all zeros: it has no direction and resembles nothing.")
    return checked


def _rows(
    ids: Sequence[int],
    vectors: npt.NDArray[np.float32],
    scalars: Sequence[Mapping[str, Scalar]] | None,
) -> list[dict[str, Any]]:
    if not len(ids):
        return []
    checked = _checked(np.asarray(vectors), len(ids))
    if scalars is not None and len(scalars) != len(ids):
        raise InvalidVectors(f"There are {len(scalars)} rows of scalars for {len(ids)} ids.")
    rows: dict[int, dict[str, Any]] = {}
    for index, vector in enumerate(checked):
        extra = scalars[index] if scalars is not None else {}
        rows[int(ids[index])] = {**extra, ID: int(ids[index]), VECTOR: vector}
    return list(rows.values())


_process_store: tuple[tuple[int, str, str], VectorStore] | None = None
_process_lock = threading.Lock()


def get_store() -> VectorStore:
    """Return the store of this process, for the settings MILVUS_URI and MILVUS_TOKEN.

    It is created on first use, after the fork, because gRPC connections do not survive a fork.
    """
    from django.conf import settings

    global _process_store
    key = (os.getpid(), str(settings.MILVUS_URI), str(settings.MILVUS_TOKEN))
    current = _process_store
    if current is not None and current[0] == key:
        return current[1]
    with _process_lock:
        if _process_store is None or _process_store[0] != key:
            _process_store = (key, VectorStore(key[1], token=key[2]))
        return _process_store[1]
