"""Groups of duplicate pictures, by equal bytes or by similarity of vectors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embeddings.errors import InputError

# Similarities held in memory at once: 64 MiB as float32.
_BLOCK = 2**24


@dataclass(frozen=True)
class Duplicate:
    """Index of a duplicate, its cosine similarity to the kept picture, and if bytes are equal."""

    at: int
    score: float
    identical: bool


@dataclass(frozen=True)
class Group:
    """Index of the picture to keep, and its duplicates, the most similar first."""

    keep: int
    duplicates: tuple[Duplicate, ...]


def groups(
    vectors: NDArray[np.float32],
    threshold: float = 0.9,
    digests: Sequence[str | None] | None = None,
    weights: ArrayLike | None = None,
) -> Iterator[Group]:
    """Yield the groups of duplicates among N pictures with vectors (N, D) of unit length.

    Pictures are visited by `weights` (N,), largest first (file sizes or pixel counts; ties,
    and all pictures without weights, in input order). Each claims the pictures not yet in a
    group whose similarity reaches `threshold` or whose entry in `digests` is equal. So every
    member of a group is a duplicate of the kept picture, not only of another member. Time is
    O(N²), memory O(N). Raises `InputError` when shapes or values are invalid.
    """
    if np.ndim(vectors) != 2 or vectors.dtype != np.float32:
        raise InputError("Vectors must be an array float32 (N, D).")
    if not 0 < threshold <= 1:
        raise InputError(f"The threshold must be above 0 and at most 1, not {threshold}.")
    count = len(vectors)
    order = np.arange(count)
    if weights is not None:
        heavy = np.asarray(weights)
        if heavy.shape != (count,):
            raise InputError(f"There must be a weight for each of {count} vectors.")
        order = np.argsort(-heavy, kind="stable")
    if digests is not None and len(digests) != count:
        raise InputError(f"There must be a digest for each of {count} vectors.")
    return _grouped(vectors, threshold, digests or [None] * count, order)


def _grouped(
    vectors: NDArray[np.float32],
    threshold: float,
    digests: Sequence[str | None],
    order: NDArray[np.int64],
) -> Iterator[Group]:
    ranked = np.ascontiguousarray(vectors[order])
    same: dict[str, list[int]] = {}
    for rank, at in enumerate(order):
        digest = digests[at]
        if digest is not None:
            same.setdefault(digest, []).append(rank)
    claimed = np.zeros(len(ranked), np.bool_)
    block = max(1, _BLOCK // max(1, len(ranked)))
    for start in range(0, len(ranked), block):
        # Earlier pictures have been visited and have already claimed their duplicates.
        scores = ranked[start : start + block] @ ranked[start:].T
        for row, similar in enumerate(scores):
            rank = start + row
            if claimed[rank]:
                continue
            digest = digests[order[rank]]
            alike = {start + int(one) for one in np.flatnonzero(similar >= threshold)}
            equal = set(same[digest]) if digest is not None else set()
            members = sorted(one for one in alike | equal if one > rank and not claimed[one])
            claimed[members] = True
            if members:
                duplicates = (
                    Duplicate(int(order[one]), float(similar[one - start]), one in equal)
                    for one in members
                )
                best = sorted(duplicates, key=lambda one: (not one.identical, -one.score))
                yield Group(int(order[rank]), tuple(best))
