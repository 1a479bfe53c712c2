"""Exact nearest neighbour search in memory or in a memory-mapped file: `Searcher`.

Candidates are ranked by float32 matrix products, which are fast but whose rounding depends on
position. Every vector that may be among the best, by the bound of that rounding error, is computed
again in float64, row by row. The result is exact, and equal rows have equal scores.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import InputError, UnknownName
from embeddings.flow.sinks.array import as_array

METRICS = ("cosine", "ip", "l2")

# Size of a block of data; also bounds the number of queries run on a block at once.
_BLOCK_BYTES = 16 * 1024 * 1024
_QUERIES = 256
# Outside of these norms squares overflow or underflow float32.
_MAX_NORM, _MIN_NORM = 1e18, 1e-18
_ROUNDING = 2.0**-24


@dataclass(frozen=True, eq=False)
class Hits:
    """The results of a search, best first: `ids`, and `scores`, float32 (K,).

    Iterates as pairs (id, score).
    """

    ids: tuple[Any, ...]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[tuple[Any, float]]:
        return zip(self.ids, self.scores.tolist(), strict=True)

    def __repr__(self) -> str:
        items = ", ".join(f"{one!r}: {score:.4g}" for one, score in self)
        return f"Hits({items})"


class Searcher:
    """Finds the `top_k` nearest vectors of `data`, exactly, best first.

    Call it with one vector (D,), or `batch` with several. If there are fewer than `top_k` vectors,
    all are returned; equal scores are in the order of the data. Thread-safe and picklable (mapped
    data is then copied). Memory beside the data is four bytes per vector and some blocks of 16 MiB.

    The metric defines the score:

    - "cosine": cosine similarity, -1 to 1, highest first. A vector of zeros (or shorter than 1e-18)
      has no direction; its score is always 0.
    - "ip": inner product, highest first.
    - "l2": Euclidean distance, not squared, lowest first.
    """

    def __init__(
        self,
        data: Any,
        metric: str = "cosine",
        top_k: int = 10,
        ids: Iterable[Any] | None = None,
    ) -> None:
        """`data` is an array (N, D), a sequence of vectors, or an object with `vectors` and `ids`,
        such as a bundle; it is compared in float32. `ids` are the ids of hits; by default they are
        positions in the data, from 0.

        Raises `UnknownName` when the metric is unknown. Raises `InputError` when the data has
        another shape, or contains NaN, infinity or a vector longer than 1e18 (the row is named,
        counted from 1), when `top_k` is below 1, and when the number of ids is not that of vectors.
        """
        if metric not in METRICS:
            raise UnknownName("metric", metric, METRICS)
        if isinstance(top_k, bool) or not isinstance(top_k, int | np.integer) or top_k < 1:
            raise InputError(f"top_k must be 1 or more, not {top_k!r}.")
        self.metric = metric
        self.top_k = int(top_k)
        if hasattr(data, "vectors"):
            ids = getattr(data, "ids", None) if ids is None else ids
            data = data.vectors
        self._vectors = _matrix(data, "The data")
        self._ids: list[Any] | None = None
        if ids is not None:
            self._ids = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
            if len(self._ids) != len(self._vectors):
                raise InputError(
                    f"There are {len(self._ids)} ids for {len(self._vectors)} vectors."
                )
        self._block = max(1, _BLOCK_BYTES // (4 * max(1, self._vectors.shape[1])))
        self._lengths = np.empty(len(self._vectors), np.float32)
        for start, block in self._blocks():
            self._lengths[start : start + len(block)] = _lengths(block, start, "Row")

    def __len__(self) -> int:
        return len(self._vectors)

    def __repr__(self) -> str:
        size, dimension = self._vectors.shape
        return f"<Searcher {self.metric}, {size} vectors of {dimension}, top {self.top_k}>"

    def __call__(self, vector: Any) -> Hits:
        """The hits for one vector (D,). Raises `InputError` when its shape or values are wrong."""
        query = np.asarray(vector)
        if query.ndim != 1:
            raise InputError(f"A query is a vector (D,), not of shape {query.shape}; see batch().")
        return self.batch(query[None])[0]

    def batch(self, vectors: Any) -> list[Hits]:
        """The hits for each of several vectors (Q, D).

        Raises `InputError` when the dimension is not that of the data, or for NaN and infinity.
        """
        queries = _float32(_matrix(vectors, "The queries"))
        if not len(queries):
            return []
        dimension = self._vectors.shape[1]
        if not len(self._vectors):
            return [Hits((), np.empty(0, np.float32)) for _ in queries]
        if queries.shape[1] != dimension:
            raise InputError(
                f"The data has {dimension} dimensions, but the query {queries.shape[1]}."
            )
        lengths = _lengths(queries, 0, "Query")
        hits: list[Hits] = []
        for start in range(0, len(queries), _QUERIES):
            part = slice(start, start + _QUERIES)
            hits.extend(self._hits(queries[part], lengths[part]))
        return hits

    def _hits(self, queries: NDArray[np.float32], lengths: NDArray[np.float32]) -> Iterator[Hits]:
        best_by_query = [
            _Best(self.metric, self.top_k, query, length)
            for query, length in zip(queries, lengths.tolist(), strict=True)
        ]
        sides = queries
        if self.metric == "cosine":
            sides = queries * _inverse(lengths)[:, None]
        for start, block in self._blocks():
            norms = self._lengths[start : start + len(block)]
            ranks = sides @ block.T
            if self.metric == "cosine":
                ranks *= _inverse(norms)
            elif self.metric == "l2":
                ranks -= norms * norms / 2
            longest = float(norms.max())
            for best, row, length in zip(best_by_query, ranks, lengths.tolist(), strict=True):
                best.look(row, block, norms, start, self._bound(longest, length))
        for best in best_by_query:
            places = best.places.tolist()
            names = places if self._ids is None else [self._ids[place] for place in places]
            yield Hits(tuple(names), best.scores)

    def _bound(self, longest: float, length: float) -> float:
        """The largest error of the float32 ranks of a block.

        Twice the error bound of a sum of D products in any order, as the norms are rounded too,
        plus sixteen for the steps that follow, including the rounding of the score.
        """
        part: float = 2 * (self._vectors.shape[1] + 16) * _ROUNDING
        if self.metric == "cosine":
            return part
        if self.metric == "ip":
            return part * longest * length
        return part * (longest + length) ** 2

    def _blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        for start in range(0, len(self._vectors), self._block):
            yield start, _float32(self._vectors[start : start + self._block])


class _Best:
    """The best rows for one query so far."""

    def __init__(self, metric: str, top_k: int, query: NDArray[np.float32], length: float) -> None:
        self._metric = metric
        self._top_k = top_k
        self._query = query.astype(np.float64)
        self._length = float(np.sqrt(self._query @ self._query)) if length else 0.0
        self._ranks = np.empty(0)
        self.scores = np.empty(0, np.float32)
        self.places = np.empty(0, np.int64)

    def look(
        self,
        ranks: NDArray[np.float32],
        block: NDArray[np.float32],
        norms: NDArray[np.float32],
        start: int,
        bound: float,
    ) -> None:
        """Add the good rows of a block, whose float32 ranks are at most `bound` off."""
        if len(self._ranks) == self._top_k:
            floor = float(self._ranks[-1]) - 2 * bound
        elif len(ranks) > self._top_k:
            floor = float(np.partition(ranks, -self._top_k)[-self._top_k]) - 2 * bound
        else:
            floor = -np.inf
        rows = np.flatnonzero(ranks >= floor)
        if not len(rows):
            return
        exact, scores = self._exact(block[rows].astype(np.float64), norms[rows] > 0)
        exact = np.concatenate([self._ranks, exact])
        scores = np.concatenate([self.scores, scores])
        places = np.concatenate([self.places, start + rows])
        worse = scores if self._metric == "l2" else -scores
        order = np.lexsort((places, worse))[: self._top_k]
        self._ranks, self.scores, self.places = exact[order], scores[order], places[order]

    def _exact(
        self, rows: NDArray[np.float64], directed: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """The exact ranks and scores of rows; independent of the other rows.

        `directed` marks the rows that have a direction.
        """
        if self._metric == "l2":
            away = rows - self._query
            squares = np.einsum("ij,ij->i", away, away)
            return (self._length**2 - squares) / 2, np.sqrt(squares).astype(np.float32)
        ranks = np.einsum("ij,j->i", rows, self._query)
        if self._metric == "cosine":
            lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows)) * directed
            ranks *= _inverse(lengths * self._length)
            ranks = ranks.clip(-1, 1)
        return ranks, ranks.astype(np.float32)


def _matrix(data: Any, what: str) -> NDArray[Any]:
    """A real array (N, D); an empty one may be (0,)."""
    array = data if isinstance(data, np.ndarray) else as_array(data)
    if array.shape == (0,):
        array = array.reshape(0, 0)
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise InputError(
            f"{what} must be vectors of real numbers, an array (N, D); not {array.dtype} of "
            f"shape {array.shape}."
        )
    return array


def _float32(array: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # infinity raises `InputError` below
        return np.asarray(array, np.float32)


def _lengths(block: NDArray[np.float32], start: int, what: str) -> NDArray[np.float32]:
    """The norms of vectors, 0 when below the smallest usable one."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", block, block))
    usable = lengths <= _MAX_NORM  # false for NaN too
    if not usable.all():
        row = int(np.argmin(usable))
        reason = "is longer than 1e18" if np.isfinite(block[row]).all() else "holds NaN or infinity"
        raise InputError(f"{what} {start + row + 1} {reason}, so that nothing is near it.")
    lengths[lengths < _MIN_NORM] = 0
    return lengths


def _inverse(lengths: NDArray[Any]) -> NDArray[Any]:
    """The reciprocals, and 0 for 0."""
    inverse = np.zeros_like(lengths)
    np.divide(1, lengths, out=inverse, where=lengths > 0)
    return inverse
