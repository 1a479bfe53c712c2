"""A pymilvus client per process, with translated errors.

pymilvus is imported on first use: it takes more than a second, and most processes that import
this package never search.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from searchapp.infra.vectors.errors import (
    CollectionMissing,
    CollectionNotLoaded,
    VectorsError,
    VectorsUnavailable,
)

Result = TypeVar("Result")

# A server that is down refuses connections at once; this limits the wait for one that hangs.
CONNECT_SECONDS = 1.0

COLLECTION_NOT_FOUND = 100
COLLECTION_NOT_LOADED = 101
# Milvus error codes for temporary problems: connection failed or service unavailable, memory
# exhausted, rate limited, disk full, collection only partly loaded; then those of its nodes and
# channels.
PASSING_CODES = frozenset({2, 3, 8, 9, 103, 200, 201, 500, 501, 502, 503, 901})
NOT_READY = "not ready"


_importing = threading.Lock()
_imported = False


def import_driver() -> None:
    """Import pymilvus, which takes over a second, before anything is imported from it.

    During import, pymilvus reads MILVUS_URI for a default connection, which is not used here, and
    fails if it is the address of a Unix socket. So the variable is hidden during the import.
    """
    global _imported
    with _importing:
        if _imported:
            return
        address = os.environ.pop("MILVUS_URI", None)
        try:
            import pymilvus  # noqa: F401
        finally:
            if address is not None:
                os.environ["MILVUS_URI"] = address
        _imported = True


class MilvusConnection:
    """A client for `uri`, created on first use, and again in a forked process."""

    def __init__(self, uri: str, token: str) -> None:
        self._uri = uri
        self._token = token
        self._lock = threading.Lock()
        self._client: Any = None
        self._is_lite = False
        self._pid = 0

    def call(self, operation: Callable[[Any], Result]) -> Result:
        """Run `operation` on the `MilvusClient`.

        Raises `VectorsUnavailable` when the server cannot be reached or is not ready,
        `CollectionMissing` or `CollectionNotLoaded` when the collection is, and `VectorsError`,
        with the server's message, when it refuses the request.
        """
        import_driver()
        import grpc
        from pymilvus.exceptions import MilvusException

        try:
            return operation(self._connected())
        except grpc.RpcError as error:
            raise _unavailable() from error
        except MilvusException as error:
            raise _translate(error) from error

    def is_lite(self) -> bool:
        """Return whether the server is Milvus Lite.

        Raises `VectorsUnavailable` when it cannot be reached.
        """
        self.call(lambda client: None)
        return self._is_lite

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None and self._pid == os.getpid():
            client.close()

    def _connected(self) -> Any:
        client = self._client
        if client is not None and self._pid == os.getpid():
            return client
        from pymilvus import MilvusClient

        with self._lock:
            if self._client is None or self._pid != os.getpid():
                # The errors that it logs with tracebacks are also raised to the caller.
                logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
                # "dedicated": its shared connections would also be shared across a fork.
                client = MilvusClient(
                    self._uri, token=self._token, timeout=CONNECT_SECONDS, dedicated=True
                )
                version = client.get_server_version(timeout=CONNECT_SECONDS)
                self._is_lite = version.startswith("milvus_lite")
                self._client, self._pid = client, os.getpid()
            return self._client


def _unavailable() -> VectorsUnavailable:
    return VectorsUnavailable(
        "The vector store (Milvus) cannot be reached or is not ready. Please try again shortly."
    )


def _translate(error: Any) -> VectorsError:
    """Convert a `MilvusException`, whose code is a number or a gRPC status, to a `VectorsError`."""
    code = error.code
    if code == COLLECTION_NOT_FOUND:
        return CollectionMissing("The collection does not exist in the vector store.")
    if code == COLLECTION_NOT_LOADED:
        return CollectionNotLoaded("The vector store has not loaded the collection.")
    if not isinstance(code, int) or code in PASSING_CODES or NOT_READY in error.message:
        return _unavailable()
    return VectorsError(f"The vector store refused the request: {error.message}")
