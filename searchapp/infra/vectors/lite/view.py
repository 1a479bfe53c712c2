"""An immutable view of one Milvus Lite collection, for fast searches.

Milvus Lite's own search loops over every row in Python, copies the whole matrix, and can miss
rows while a flush swaps its tables. A view keeps a consistent set of sealed segments, tombstones
and the in-memory table that was active with them, so a reader needs no lock: rows that a later
flush moves are still in the view's own table.

Search is exact: one product per segment, shared by all concurrent searches.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from searchapp.infra.vectors.lite.batched_products import Products
from searchapp.infra.vectors.lite.scalars import Columns, Unanswered, columns_of

Floats = npt.NDArray[np.float32]
Longs = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# {id: (batch, row)} of the open rows, the ids deleted since the last sealing, the open batches.
OpenRows = tuple[dict[int, tuple[int, int]], list[int], tuple[Any, ...]]
LOCK_SECONDS = 0.005

# The best rows are scored again, one by one, so that a score does not depend on concurrent
# searches: the next page of results starts from the score of the last match. This many more rows
# than requested are scored again, because their order may change.
SPARE = 16

NO_ROWS: Longs = np.empty(0, dtype=np.int64)


def inverse_norms(vectors: Floats) -> Floats:
    """Return 1 / length of each row of `vectors` (N, D), 0 for a zero row; shape (N,)."""
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    scales: Floats = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    return scales


@dataclass(frozen=True, eq=False)
class Sealed:
    """One sealed segment: the engine's object, ids (n,), sequence numbers (n,), 1/norms (n,).

    Its scalars are read once, in the background or by the first condition that needs them. Later
    views share the object.
    """

    segment: Any
    ids: Longs
    sequences: Longs
    scales: Floats

    @classmethod
    def of(cls, segment: Any) -> Sealed:
        return cls(
            segment=segment,
            ids=np.asarray(segment.pks, dtype=np.int64),
            sequences=segment.seqs.astype(np.int64),
            scales=inverse_norms(segment.vectors),
        )

    @cached_property
    def columns(self) -> Columns:
        return columns_of(self.segment.table)

    @property
    def is_read(self) -> bool:
        """Whether the scalars have been read."""
        return "columns" in vars(self)


class CollectionView:
    """The rows of a collection when the view was created, plus later additions to its open table.

    `memtable` is the engine's in-memory table, which only grows while the view is current.
    """

    def __init__(
        self,
        segments: tuple[Any, ...],
        tombstones: dict[int, int],
        memtable: Any,
        vector_field: str,
        previous: CollectionView | None = None,
    ) -> None:
        known = {sealed.segment: sealed for sealed in previous.sealed} if previous else {}
        self.sealed: tuple[Sealed, ...] = tuple(
            known.get(segment) or Sealed.of(segment) for segment in segments if segment.num_rows
        )
        self.memtable = memtable
        self.vector_field = vector_field
        self._open_batches: list[tuple[Floats, Floats]] = []
        self._open_columns: list[Columns] = []
        self._open_lock = threading.Lock()
        self._frozen: OpenRows | None = None
        self._products = Products([sealed.segment.vectors for sealed in self.sealed])

        lengths = [len(sealed.ids) for sealed in self.sealed]
        self.offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
        self._all_ids = np.concatenate([s.ids for s in self.sealed]) if self.sealed else NO_ROWS
        live = self._newest_and_not_deleted(tombstones)
        self._dead: Longs = np.flatnonzero(~live)
        rows = np.flatnonzero(live)
        order = np.argsort(self._all_ids[rows], kind="stable")
        # Live sealed rows, sorted by id, for lookups by id.
        self._rows: Longs = rows[order]
        self._ids: Longs = self._all_ids[self._rows]

    def _newest_and_not_deleted(self, tombstones: dict[int, int]) -> Mask:
        """Return whether each sealed row is the latest version of its id and not deleted."""
        total = int(self.offsets[-1])
        live = np.zeros(total, dtype=bool)
        if not total:
            return live
        sequences = np.concatenate([sealed.sequences for sealed in self.sealed])
        order = np.lexsort((sequences, self._all_ids))
        sorted_ids = self._all_ids[order]
        last_of_its_id = np.append(sorted_ids[1:] != sorted_ids[:-1], True)
        live[order[last_of_its_id]] = True
        if tombstones:
            buried = np.fromiter(tombstones.keys(), np.int64, len(tombstones))
            since = np.fromiter(tombstones.values(), np.int64, len(tombstones))
            sorting = np.argsort(buried)
            buried, since = buried[sorting], since[sorting]
            place = np.minimum(np.searchsorted(buried, self._all_ids), len(buried) - 1)
            live &= ~((buried[place] == self._all_ids) & (since[place] > sequences))
        return live

    # -- the open table ------------------------------------------------------------------

    def freeze(self) -> None:
        """Copy the open rows. The caller must ensure that nothing writes to the table any more.

        Sealing holds the table's lock for a long time; readers of a frozen view do not need it.
        """
        self._frozen = self._copy_of_open_rows()

    def _open_rows(self) -> OpenRows:
        while self._frozen is None:
            if self.memtable._lock.acquire(timeout=LOCK_SECONDS):
                try:
                    return self._copy_of_open_rows()
                finally:
                    self.memtable._lock.release()
        return self._frozen

    def _copy_of_open_rows(self) -> OpenRows:
        table = self.memtable
        positions = {key: (at[0], at[1]) for key, at in table._pk_index.items()}
        return positions, list(table._delete_index), tuple(table._insert_batches)

    def _open_vectors(self, batches: tuple[Any, ...]) -> list[tuple[Floats, Floats]]:
        """Return (vectors, 1/norms) of each open batch; each batch is unpacked once."""
        with self._open_lock:
            for batch in batches[len(self._open_batches) :]:
                column = batch.column(self.vector_field)
                flat = column.flatten().to_numpy(zero_copy_only=False)
                vectors = flat.reshape(len(column), -1)
                self._open_batches.append((vectors, inverse_norms(vectors)))
            return self._open_batches[: len(batches)]

    def _columns_of_open(self, batches: tuple[Any, ...]) -> list[Columns]:
        """Return the scalars of each open batch; each batch is read once."""
        with self._open_lock:
            self._open_columns += map(columns_of, batches[len(self._open_columns) :])
            return self._open_columns[: len(batches)]

    def _sealed_rows_of(self, ids: Longs) -> tuple[Longs, Mask]:
        """Return the sealed row of each id (undefined if there is none), and which were found."""
        if not len(self._ids):
            return np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids), dtype=bool)
        place = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        return self._rows[place], self._ids[place] == ids

    def _replaced_rows(self, positions: dict[int, Any], deleted: list[int]) -> Longs:
        """Return the sealed rows that the open table overwrites or deletes."""
        if not positions and not deleted:
            return NO_ROWS
        rows, is_sealed = self._sealed_rows_of(np.array([*positions, *deleted], dtype=np.int64))
        return rows[is_sealed]

    # -- reading -------------------------------------------------------------------------

    def search(self, query: Floats, k: int, condition: Condition | None) -> list[tuple[int, float]]:
        """Return the exact `k` best (id, cosine) for `query` (D,), best first."""
        norm = float(np.sqrt(query @ query))
        query = query / norm if norm > 0 else query
        positions, deleted, batches = self._open_rows()
        sealed_total = int(self.offsets[-1])
        scores = np.empty(sealed_total + len(positions), dtype=np.float32)
        scores[:sealed_total] = self._products.of(query)

        for sealed, start in zip(self.sealed, self.offsets, strict=False):
            part = scores[start : start + len(sealed.ids)]
            part *= sealed.scales
            if condition is not None:
                part[~condition.of_segment(sealed)] = -np.inf
        scores[self._dead] = -np.inf
        scores[self._replaced_rows(positions, deleted)] = -np.inf

        open_ids = np.fromiter(positions, np.int64, len(positions))
        if len(open_ids):
            at = np.array(list(positions.values()), dtype=np.int64)
            unpacked = self._open_vectors(batches)
            starts = np.cumsum([0, *(len(vectors) for vectors, _ in unpacked)])
            flat = np.concatenate([(v @ query) * scale for v, scale in unpacked])
            scores[sealed_total:] = flat[starts[at[:, 0]] + at[:, 1]]
            if condition is not None:
                refused = ~condition.of_open_rows(batches, self._columns_of_open(batches), at)
                scores[sealed_total:][refused] = -np.inf

        k = min(k, len(scores))
        if not k:
            return []
        wide = min(k + SPARE, len(scores))
        best = np.argpartition(scores, len(scores) - wide)[-wide:]
        best = best[scores[best] > -np.inf]
        if not len(best):
            return []
        scores[best] = self._exact(
            [
                self._sealed_vector(row)
                if row < sealed_total
                else unpacked[at[row - sealed_total, 0]][0][at[row - sealed_total, 1]]
                for row in best
            ],
            query,
        )
        ids = np.array([self._id_at(int(row), sealed_total, open_ids) for row in best])
        return [
            (int(ids[i]), min(1.0, float(scores[best[i]])))
            for i in np.lexsort((ids, -scores[best]))[:k]
        ]

    def _exact(self, vectors: list[Floats], query: Floats) -> Floats:
        """Return the cosines of a few vectors, computed one by one in float64."""
        rows = np.stack(vectors).astype(np.float64)
        products = np.einsum("ij,j->i", rows, query.astype(np.float64))
        norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        exact: Floats = np.divide(products, norms, out=np.zeros_like(norms), where=norms > 0)
        return exact.astype(np.float32)

    def _sealed_vector(self, row: int) -> Floats:
        segment = int(np.searchsorted(self.offsets, row, side="right")) - 1
        vector: Floats = self.sealed[segment].segment.vectors[row - self.offsets[segment]]
        return vector

    def _id_at(self, row: int, sealed_total: int, open_ids: Longs) -> int:
        return int(self._all_ids[row] if row < sealed_total else open_ids[row - sealed_total])

    def fetch(self, ids: list[int]) -> list[tuple[int, Floats]]:
        """Return (id, vector (D,)) of those `ids` that are not deleted, in the order of `ids`."""
        positions, deleted, batches = self._open_rows()
        gone = set(deleted)
        rows, is_sealed = self._sealed_rows_of(np.array(ids, dtype=np.int64))
        out: list[tuple[int, Floats]] = []
        for index, key in enumerate(ids):
            if key in positions:
                batch, row = positions[key]
                out.append((key, self._open_vectors(batches)[batch][0][row]))
            elif key not in gone and is_sealed[index]:
                segment = int(np.searchsorted(self.offsets, rows[index], side="right")) - 1
                local = int(rows[index] - self.offsets[segment])
                out.append((key, self.sealed[segment].segment.vectors[local]))
        return out

    def ids(self) -> Longs:
        """Return the ids of all rows that are not deleted, ascending; shape (N,)."""
        positions, deleted, _ = self._open_rows()
        hidden = np.array([*positions, *deleted], dtype=np.int64)
        sealed = self._ids[~np.isin(self._ids, hidden)] if len(hidden) else self._ids
        return np.sort(np.concatenate([sealed, np.fromiter(positions, np.int64, len(positions))]))


class Condition:
    """A compiled filter expression of the engine, evaluated on the rows of a view."""

    def __init__(self, compiled: Any, plan: Any) -> None:
        self._compiled = compiled
        self._plan = plan

    def of_segment(self, sealed: Sealed) -> Mask:
        """Return which rows of a sealed segment pass; shape (n,)."""
        from milvus_lite.search.indexed_filter import evaluate_segment_filter

        try:
            return sealed.columns.mask(self._compiled.ast)
        except Unanswered:
            passed = evaluate_segment_filter(sealed.segment, self._compiled, self._plan)
        return np.asarray(passed, dtype=bool)

    def of_open_rows(self, batches: tuple[Any, ...], columns: list[Columns], at: Longs) -> Mask:
        """Return which open rows pass; shape (n,).

        `at` has their (batch, row) pairs (n, 2), and `columns` the scalars of each batch.
        """
        import pyarrow as pa
        from milvus_lite.search.filter import evaluate_mask

        starts = np.cumsum([0, *(batch.num_rows for batch in batches)])
        positions = starts[at[:, 0]] + at[:, 1]
        try:
            return np.concatenate([one.mask(self._compiled.ast) for one in columns])[positions]
        except Unanswered:
            pass
        # Conditions read only scalars; without the vectors, these need not be copied.
        names = [
            field.name
            for field in batches[0].schema
            if not pa.types.is_fixed_size_list(field.type) and field.name != "_partition"
        ]
        table = pa.Table.from_batches(batches).select(names)
        rows = table.take(pa.array(positions))
        return np.asarray(evaluate_mask(self._compiled, rows), dtype=bool)
