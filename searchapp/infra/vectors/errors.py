"""Errors of the vector store."""

from __future__ import annotations


class VectorsError(Exception):
    """A vector operation failed. `code` is stable, and `str()` is a message for people."""

    code = "vectors_failed"


class VectorsUnavailable(VectorsError):
    """Milvus cannot be reached or is not ready. The same call may work a little later."""

    code = "vectors_unavailable"


class InvalidVectors(VectorsError, ValueError):
    """The vectors, ids or names that were passed cannot be stored or searched."""

    code = "invalid_vectors"


class DimensionMismatch(InvalidVectors):
    """A collection with this name already exists, for vectors of another dimension."""

    code = "dimension_mismatch"


class CollectionMissing(VectorsError):
    """The collection does not exist, or no longer does."""

    code = "collection_missing"


class CollectionNotLoaded(VectorsError):
    """The collection exists, but the server has not loaded it into memory."""

    code = "collection_not_loaded"
