"""Errors of the vector store."""

from __future__ import annotations


class VectorsError(Exception):
    """A vector operation failed. `code` is stable, `str()` is a sentence for people."""

    code = "vectors_failed"


class VectorsUnavailable(VectorsError):
    """Milvus cannot be reached or is not ready. The same call may work a little later."""

    code = "vectors_unavailable"


class InvalidVectors(VectorsError, ValueError):
    """The caller handed over vectors, ids or names that cannot be stored or searched."""

    code = "invalid_vectors"


class DimensionMismatch(InvalidVectors):
    """A collection of this name exists already, for vectors of another dimension."""

    code = "dimension_mismatch"


class CollectionMissing(VectorsError):
    """The collection does not exist (any more)."""

    code = "collection_missing"


class CollectionNotLoaded(VectorsError):
    """The collection exists, but the server does not hold it in memory."""

    code = "collection_not_loaded"
