"""One pymilvus client per process, with its errors translated.

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

# A server that is down refuses at once; this bounds the wait for one that hangs.
CONNECT_SECONDS = 1.0

COLLECTION_NOT_FOUND = 100
COLLECTION_NOT_LOADED = 101
# Milvus' own codes: connection failed or service unavailable, memory exhausted, rate limited,
# disk full, collection only partly loaded; then those of its nodes and channels.
PASSING_CODES = frozenset({2, 3, 8, 9, 103, 200, 201, 500, 501, 502, 503, 901})
NOT_READY = "not ready"


_importing = threading.Lock()
_imported = False


def import_driver() -> None:
    """Import pymilvus, which takes over a second, before anything is imported from it.

    While it is imported it reads MILVUS_URI for a connection of its own, which nobody uses, and
    fails on the address of a Unix socket: so it gets to see none.
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
    """A client for `uri`, made when first needed and made anew in a forked process."""

    def __init__(self, uri: str, token: str) -> None:
        self._uri = uri
        self._token = token
        self._lock = threading.Lock()
        self._client: Any = None
        self._is_lite = False
        self._pid = 0

    def call(self, operation: Callable[[Any], Result]) -> Result:
        """Run `operation` on the `MilvusClient`.

        Raises VectorsUnavailable, CollectionMissing, CollectionNotLoaded, or VectorsError with
        what the server said.
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
        """Tell whether the server is Milvus Lite. Raises VectorsUnavailable."""
        self.call(lambda client: None)
        return self._is_lite

    def close(self) -> None:
        """Let go of the connection; the next call makes a new one."""
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
                # What it reports as errors, with tracebacks, is raised to the caller as well.
                logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
                # "dedicated": its shared connections would be shared across a fork as well.
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
    """Turn a MilvusException into ours. Its code is a number or a gRPC status."""
    code = error.code
    if code == COLLECTION_NOT_FOUND:
        return CollectionMissing("The collection does not exist in the vector store.")
    if code == COLLECTION_NOT_LOADED:
        return CollectionNotLoaded("The vector store has not loaded the collection.")
    if not isinstance(code, int) or code in PASSING_CODES or NOT_READY in error.message:
        return _unavailable()
    return VectorsError(f"The vector store refused the request: {error.message}")
