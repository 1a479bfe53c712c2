"""The connection of this program to a Ray cluster; one is started where none is named."""

import contextlib
import logging
import os
import socket
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

import ray

from embeddings import thread_count as process
from embeddings.errors import InputError, WorkerError

# Options for connecting to or starting a cluster.
_OPTIONS = frozenset({"address", "runtime_env", "num_cpus", "object_store_memory"})
# Seconds to wait for a connection to a cluster.
_ANSWER = 10.0
_connecting = threading.Lock()
_users = 0


@contextlib.contextmanager
def connection(options: Mapping[str, Any]) -> Iterator[None]:
    """A connection to a cluster: the program's own, or one that is closed after the block."""
    global _users
    with _connecting:
        ours = _users > 0 or not ray.is_initialized()
        ignored = sorted(_OPTIONS & set(options))
        if not ours and ignored:
            raise InputError(
                f"This program has called ray.init, and its cluster is used: give "
                f"{', '.join(ignored)} to ray.init instead."
            )
        if ours:
            if _users == 0:
                _connect(options)
            _users += 1
    try:
        yield
    finally:
        if ours:
            with _connecting:
                _users -= 1
                if _users == 0:
                    ray.shutdown()


def cores(which: str, kind: str = "CPU") -> float:
    """The number of cores (or of GPUs, with "GPU") that the cluster has, or has free."""
    return float(getattr(ray, which)().get(kind, 0))


def _connect(options: Mapping[str, Any]) -> None:
    address = options.get("address") or os.environ.get("RAY_ADDRESS") or "local"
    settings: dict[str, Any] = {"log_to_driver": True, "logging_level": logging.WARNING}
    if "runtime_env" in options:
        settings["runtime_env"] = options["runtime_env"]
    if address == "local":
        settings["include_dashboard"] = False
        settings["num_cpus"] = options.get("num_cpus", process.cores())
        settings["object_store_memory"] = options.get("object_store_memory")
    _look_for(address)
    before = os.environ.get("RAY_USAGE_STATS_ENABLED")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # no telemetry
    try:
        ray.init(address=address, **settings)
    except (ConnectionError, SystemExit) as error:  # ray exits when it finds no cluster
        raise WorkerError(f"There is no Ray cluster at {address!r}: {error}.") from error
    finally:
        if before is None:
            del os.environ["RAY_USAGE_STATS_ENABLED"]
        else:
            os.environ["RAY_USAGE_STATS_ENABLED"] = before


def _look_for(address: str) -> None:
    """Raises `WorkerError` when nothing listens there: Ray itself would retry for minutes."""
    try:
        place = urllib.parse.urlsplit(address if "//" in address else f"//{address}")
        if place.hostname is None or place.port is None:  # "local", "auto"
            return
        socket.create_connection((place.hostname, place.port), timeout=_ANSWER).close()
    except (OSError, ValueError) as error:
        raise WorkerError(f"There is no Ray cluster at {address!r}: {error}.") from error
