"""The gRPC service of the launcher: Milvus Lite behind a lock.

Milvus Lite supports one writer at a time and leaves serialization to its caller. Here every call
holds one lock, except the calls on which a search request waits: search, lookup by id and counting
read an immutable `CollectionView` without a lock, so a flush or a compaction does not delay them.

Writes are acknowledged when they are in the write-ahead log, which survives a kill. Rows are
sealed into Parquet in the background, many small batches at a time. Sealing each batch of 32 would
halve the insert rate and keep compaction busy. Searches are as fast on open rows as on sealed ones.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from milvus_lite.adapter.grpc.servicer import MilvusServicer
from milvus_lite.adapter.grpc.translators.records import records_to_fields_data
from milvus_lite.adapter.grpc.translators.search import parse_search_request
from milvus_lite.engine.projection import build_projection_plan
from milvus_lite.exceptions import MilvusLiteError
from milvus_lite.schema.types import DataType
from pymilvus.grpc_gen import schema_pb2

from searchapp.infra.vectors.lite.answer_cache import AnswerCache, Hits, Moment
from searchapp.infra.vectors.lite.messages import (
    hits_answer,
    is_plain_search,
    page_start,
    rows_answer,
)
from searchapp.infra.vectors.lite.view import CollectionView, Condition

logger = logging.getLogger(__name__)

SEAL_ROWS = 1000
SEAL_IDLE_SECONDS = 1.0
# Compaction can delay sealing for seconds; beyond this many open rows, writes wait for sealing.
MAX_OPEN_ROWS = 8 * SEAL_ROWS
TICK_SECONDS = 0.2

# Methods that do not need the lock: they read nothing that changes, or acquire it themselves.
UNLOCKED = frozenset({"Connect", "GetVersion", "CheckHealth", "Search", "Query"})
ROW_WRITES = frozenset({"Insert", "Upsert", "Delete"})
# Prefixes of methods that change nothing.
READS = ("Describe", "Get", "Has", "List", "Show")
UNEXPECTED = 1


class LiteService(MilvusServicer):  # type: ignore[misc]
    """The Milvus protocol on one `MilvusLite`, safe for any number of concurrent clients."""

    def __init__(self, db: Any) -> None:
        super().__init__(db)
        self._lock = threading.RLock()
        self._views: dict[tuple[str, str], CollectionView] = {}
        self._answers = AnswerCache()
        self._last_write: dict[Any, float] = {}
        self._wake = threading.Event()
        self._stopping = False
        self._sealer = threading.Thread(target=self._seal_in_background, daemon=True)
        with self._lock:
            for collection in db._collections.values():
                self._seal(collection)
            self._refresh_views()
        self._sealer.start()

    # -- the lock ------------------------------------------------------------------------

    def guard(self, method: str, behaviour: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a gRPC method of this service in the lock, and in what must happen after a write."""
        if method in UNLOCKED:
            return behaviour

        def guarded(request: Any, context: grpc.ServicerContext) -> Any:
            with self._lock:
                if self._stopping:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "The vector server is stopping.")
                if method not in ROW_WRITES:
                    answer = behaviour(request, context)
                    self._refresh_views(forget=not method.startswith(READS))
                    return answer
                key = self._key_in(request, context)
                try:
                    answer = behaviour(request, context)
                finally:
                    self._answers.changed(key)
                self._after_row_write(key, answer)
                return answer

        return guarded

    def _after_row_write(self, key: tuple[str, str], answer: Any) -> None:
        collection = self._db._collections.get(key)
        if collection is None:
            return
        if answer.status.code == UNEXPECTED or _open_rows(collection) >= MAX_OPEN_ROWS:
            # A failed write (for example, a full disk) leaves a partial record in the log, at which
            # replay stops. Seal the acknowledged rows, which starts a new log, before continuing.
            self._seal(collection)
        else:
            self._last_write[collection] = time.monotonic()
        if _open_rows(collection) >= SEAL_ROWS:
            self._wake.set()

    # -- sealing -------------------------------------------------------------------------

    def _seal(self, collection: Any) -> None:
        """Flush the open rows of `collection`. The caller must hold the lock."""
        view = self._views.get(self._key_of(collection))
        if view is not None:
            view.freeze()
        table = collection._memtable
        table._build_data_table = partial(_gather, table)
        try:
            # The engine swaps its table before it acquires its own lock. Acquiring that lock first
            # blocks compaction and new views until rows and view are consistent again.
            with collection._maintenance_lock:
                collection.flush()
                self._publish(collection)
            # This runs after the compaction that the flush has scheduled, on the same thread, and
            # releases the segments that compaction has replaced.
            collection._bg_executor.submit(self._publish, collection)
        except Exception:
            # The rows are in the log but no longer in memory. Only a restart restores them; if the
            # server continued, the next flush would delete their log.
            logger.critical("Sealing %s failed; stopping at once", collection.name, exc_info=True)
            os._exit(1)
        self._last_write.pop(collection, None)

    def _seal_in_background(self) -> None:
        while not self._stopping:
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()
            self._read_scalars()
            for collection in list(self._last_write):
                with self._lock:
                    self._seal_if_due(collection)

    def _read_scalars(self) -> None:
        """Read the scalars of a new segment without a lock, so that no search has to read them."""
        for view in list(self._views.values()):
            for sealed in view.sealed:
                if not sealed.is_read:
                    sealed.columns  # noqa: B018 (a cached property)
                    return

    def _seal_if_due(self, collection: Any) -> None:
        written = self._last_write.get(collection)
        if written is None or self._stopping:
            return
        idle = time.monotonic() - written
        if _open_rows(collection) < SEAL_ROWS and idle < SEAL_IDLE_SECONDS:
            return
        # While compaction runs, leave the lock to writers, and try again later.
        if collection._maintenance_lock.acquire(blocking=False):
            try:
                self._seal(collection)
            finally:
                collection._maintenance_lock.release()

    def close(self) -> None:
        """Finish the current write, seal all rows and refuse further requests."""
        with self._lock:
            self._stopping = True
            for collection in self._db._collections.values():
                collection.flush()
        self._wake.set()
        self._sealer.join()

    # -- views ---------------------------------------------------------------------------

    def _key_of(self, collection: Any) -> tuple[str, str]:
        """Return (database, name) of an open collection, or two empty strings for a dropped one."""
        opened = list(self._db._collections.items())
        return next((key for key, known in opened if known is collection), ("", ""))

    def _publish(self, collection: Any) -> None:
        key = self._key_of(collection)
        if not all(key) or not _is_plain(collection):
            return
        with collection._maintenance_lock:
            self._views[key] = CollectionView(
                tuple(collection._segment_cache.values()),
                collection._delta_index.snapshot,
                collection._memtable,
                collection._vector_name,
                previous=self._views.get(key),
            )

    def _refresh_views(self, forget: bool = True) -> None:
        """Update the views after collections were created, dropped or renamed.

        With `forget`, discard the cached hits too.
        """
        open_now = self._db._collections
        for key, view in list(self._views.items()):
            if forget:
                self._answers.changed(key)
            known = open_now.get(key)
            if known is None or known._memtable is not view.memtable:
                del self._views[key]
        for key, collection in open_now.items():
            if key not in self._views:
                self._publish(collection)
        for collection in list(self._last_write):
            if collection not in open_now.values():
                del self._last_write[collection]

    def _key_in(self, request: Any, context: Any) -> tuple[str, str]:
        """Return (database, name) of the collection of a request."""
        database = self._database_name(request, context)
        name = self._db.resolve_collection_name(request.collection_name, database_name=database)
        return database, name

    def _view(self, request: Any, context: Any) -> tuple[Any, CollectionView] | None:
        key = self._key_in(request, context)
        view, collection = self._views.get(key), self._db._collections.get(key)
        return (collection, view) if view is not None and collection is not None else None

    # -- reading -------------------------------------------------------------------------

    def Search(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answer plain cosine searches from the view; leave all others to Milvus Lite."""
        moment = self._answers.moment(self._key_in(request, context))
        target = self._view(request, context)
        if target is not None:
            try:
                params = parse_search_request(request)
                if is_plain_search(params, target[0]):
                    return self._search_view(*target, params, moment)
            except MilvusLiteError:
                logger.debug("The engine words its own errors", exc_info=True)
        with self._lock:
            return super().Search(request, context)

    def _search_view(
        self, collection: Any, view: CollectionView, params: dict[str, Any], moment: Moment
    ) -> Any:
        top_k, expression = params["top_k"], params["expr"]

        def search(query: npt.NDArray[np.float32]) -> Hits:
            condition = None
            if expression:
                compiled = collection._compile_filter(expression)
                condition = Condition(compiled, collection._indexed_filter_plan(compiled))
            return view.search(query, top_k, condition)

        queries = [np.asarray(vector, dtype=np.float32) for vector in params["query_vectors"]]
        results = [
            self._answers.of(moment, (query.tobytes(), top_k, expression), partial(search, query))
            for query in queries
        ]
        return hits_answer(collection, results, top_k)

    def Query(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answer lookups by id, pages of ids and plain counts from the view."""
        target = self._view(request, context)
        if target is not None:
            answer = self._query_view(request, *target)
            if answer is not None:
                return answer
        with self._lock:
            return super().Query(request, context)

    def _query_view(self, request: Any, collection: Any, view: CollectionView) -> Any:
        fields = list(request.output_fields)
        key = collection._pk_name
        if request.partition_names:
            return None
        if fields == ["count(*)"] and not request.expr:
            column = schema_pb2.FieldData(field_name="count(*)", type=schema_pb2.Int64)
            column.scalars.long_data.data.append(len(view.ids()))
            return rows_answer(collection, [column], fields)
        if not fields or set(fields) - {key, collection._vector_name}:
            return None
        limits = {pair.key: pair.value for pair in request.query_params}
        ids = self._extract_pks_from_expr(request.expr, collection)
        if ids is not None and not limits.get("offset") and "iterator" not in limits:
            there = view.fetch(ids)
            rows = [{key: pk} for pk, _ in there]
            if collection._vector_name in fields:
                for row, (_, vector) in zip(rows, there, strict=True):
                    row[collection._vector_name] = vector.tolist()
        elif fields == [key] and (after := page_start(request.expr, key)) is not None:
            page = view.ids()
            start = int(np.searchsorted(page, after, side="right")) + int(limits.get("offset", 0))
            end = start + int(limits["limit"]) if int(limits.get("limit", -1)) >= 0 else None
            rows = [{key: int(pk)} for pk in page[start:end]]
        else:
            return None
        plan = build_projection_plan(fields, collection.schema, api_kind="query")
        columns = records_to_fields_data(
            rows, collection.schema, output_fields=fields, projection_plan=plan
        )
        return rows_answer(collection, columns, fields)

    # -- writing -------------------------------------------------------------------------

    def Upsert(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Replace whole rows, as a Milvus server does unless a partial update is requested.

        Milvus Lite would first look up and merge each row, waiting for compaction each time. Its
        insert overwrites a row with the same id.
        """
        if request.partial_update:
            return super().Upsert(request, context)
        answer = super().Insert(request, context)
        answer.upsert_cnt = answer.insert_cnt
        return answer


def _gather(table: Any, rows: list[tuple[int, int]]) -> Any:
    """Return the (batch, row) pairs of an in-memory table as one Arrow table.

    The engine's own method creates a Python object for every number of every vector.
    """
    import pyarrow as pa

    batches = table._insert_batches
    starts = np.cumsum([0, *(batch.num_rows for batch in batches)])
    at = np.array(rows, dtype=np.int64)
    gathered = pa.Table.from_batches(batches).take(pa.array(starts[at[:, 0]] + at[:, 1]))
    return gathered.select(table._data_schema.names).cast(table._data_schema)


def _open_rows(collection: Any) -> int:
    return int(collection._memtable.size())


def _is_plain(collection: Any) -> bool:
    """Whether views support the collection: integer ids and a dense vector in each row."""
    fields = {field.name: field for field in collection.schema.fields}
    vector = fields.get(collection._vector_name)
    return (
        fields[collection._pk_name].dtype == DataType.INT64
        and vector is not None
        and not vector.nullable
        and collection._partition_key_field is None
    )
