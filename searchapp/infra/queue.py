"""Redis and Celery: tasks sent by name, replies, cached vectors, heartbeats.

The web process sends tasks here and never imports the worker that carries them out.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import redis
from celery import Celery
from django.conf import settings
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

from searchapp.services.errors import Unavailable

QUERY, INGEST, MAINTENANCE = "query", "ingest", "maintenance"
HEARTBEAT_SECONDS = 5
_HEARTBEAT_LIFE = 3 * HEARTBEAT_SECONDS + 1


def broker_url(url: str) -> str:
    """Return a redis-py address as kombu spells it: Unix sockets differ."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    database = parts.query.removeprefix("db=") or "0"
    return f"redis+socket://{parts.path}?virtual_host={database}"


celery_app = Celery("lookalike", broker=broker_url(settings.REDIS_URL))
celery_app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,  # replies to queries go through their own Redis list, see below
    task_routes={
        "query.*": {"queue": QUERY},
        "ingest.*": {"queue": INGEST},
        "imports.*": {"queue": INGEST},
        "indexing.*": {"queue": INGEST},
        "features.*": {"queue": MAINTENANCE},
        "audit.*": {"queue": MAINTENANCE},
        "maintenance.*": {"queue": MAINTENANCE},
    },
    task_default_queue=MAINTENANCE,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": 3600,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 25,
    },
    enable_utc=True,
    timezone="UTC",
)


class QueueUnavailable(Unavailable):
    def __init__(self) -> None:
        super().__init__(
            "queue_unavailable", "The queue (Redis) cannot be reached. Please try again shortly."
        )


# A Redis that hangs keeps its connections open and answers nothing: nobody waits longer for a
# command that is answered at once otherwise.
_ANSWER_SECONDS = 3.0

_lock = threading.Lock()
_clients: dict[float, redis.Redis] = {}
_clients_of = 0


def client(patience: float = _ANSWER_SECONDS) -> redis.Redis:
    """Return this process's Redis client, made after the fork. Its calls fail fast: after
    `patience` seconds where Redis hangs, at once where it is not there."""
    global _clients_of
    with _lock:
        if _clients_of != os.getpid():
            _clients.clear()
            _clients_of = os.getpid()
        if patience not in _clients:
            _clients[patience] = redis.Redis.from_url(
                settings.REDIS_URL,
                socket_connect_timeout=2,
                socket_timeout=patience,
                # Connections may be of before a restart: a second try makes a new one.
                retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
            )
        return _clients[patience]


def ping() -> None:
    """Raise QueueUnavailable unless Redis answers."""
    try:
        client().ping()
    except redis.RedisError:
        raise QueueUnavailable from None


def queue_of(task: str) -> str:
    """Return the queue that tasks of this name go through."""
    routes: dict[str, dict[str, str]] = celery_app.conf.task_routes
    family = f"{task.partition('.')[0]}.*"
    return routes.get(family, {}).get("queue", MAINTENANCE)


def send(task: str, *, answers: bool = False, expires: float | None = None, **kwargs: Any) -> None:
    """Send a task; raises QueueUnavailable at once when Redis is down.

    With `answers` the caller has just had an answer of Redis, and none need be asked for.
    """
    if not answers:
        ping()  # kombu would retry for long; our own client fails fast
    try:
        celery_app.send_task(task, kwargs=kwargs, expires=expires, retry=False)
    except (OperationalError, redis.RedisError, OSError):
        raise QueueUnavailable from None


# A call that was lost (with Redis, say) keeps further ones away for so long at most.
_CALLED_SECONDS = 10


def send_once(task: str) -> None:
    """Send a task that names nothing, unless a call for it waits already: see `called`."""
    try:
        if not client().set(f"lookalike:called:{task}", b"1", nx=True, ex=_CALLED_SECONDS):
            return
    except redis.RedisError:
        raise QueueUnavailable from None
    send(task, answers=True)


def called(task: str) -> None:
    """Note that a worker has begun with a task of `send_once`: the next call is sent again."""
    try:
        client().delete(f"lookalike:called:{task}")
    except redis.RedisError:
        raise QueueUnavailable from None


def waiting(queue: str) -> int:
    """Return how many tasks wait in `queue`."""
    try:
        return int(client().llen(queue))
    except redis.RedisError:
        raise QueueUnavailable from None


def waiting_of(queue: str, task: str, most: int = 100) -> int:
    """Return how many of the first `most` tasks that wait in `queue` are of this name."""
    named = f'"task": "{task}"'.encode()
    try:
        found = cast(list[bytes], client().lrange(queue, 0, most - 1))
    except redis.RedisError:
        raise QueueUnavailable from None
    return sum(1 for message in found if named in message)


def wait_for_reply(key: str, timeout: float) -> bytes | None:
    """Wait for the one reply to a query task; None when none came in time."""
    try:
        patient = client(timeout + _ANSWER_SECONDS)
        got = cast(list[bytes] | None, patient.blpop([key], timeout=timeout))
    except redis.RedisError:
        raise QueueUnavailable from None
    return None if got is None else got[1]


def reply(key: str, payload: bytes, remember: tuple[str, int] | None = None) -> None:
    """Answer whoever waits for `key`; an answer that nobody takes is gone in a minute.

    With `remember`, a key and a number of seconds, the payload is kept under that key so long.
    """
    with client().pipeline(transaction=False) as pipe:
        pipe.rpush(key, payload)
        pipe.expire(key, 60)
        if remember is not None:
            pipe.set(remember[0], payload, ex=remember[1])
        pipe.execute()


def recall(key: str, queue: str) -> tuple[bytes | None, int]:
    """Return what is remembered under `key`, and how many tasks wait in `queue`."""
    try:
        with client().pipeline(transaction=False) as pipe:
            pipe.get(key)
            pipe.llen(queue)
            found, number = pipe.execute()
    except redis.RedisError:
        raise QueueUnavailable from None
    return cast(bytes | None, found), int(number)


def recall_fields(key: str, fields: Sequence[str]) -> dict[str, bytes]:
    """Return what is remembered under `key` for those of `fields` that are known there."""
    if not fields:
        return {}
    try:
        found = cast(list[bytes | None], client().hmget(key, list(fields)))
    except redis.RedisError:
        raise QueueUnavailable from None
    return {field: value for field, value in zip(fields, found, strict=True) if value is not None}


def remember_fields(key: str, values: Mapping[str, bytes], seconds: int, most: int) -> None:
    """Remember `values` under `key` for `seconds` from now; beyond `most` fields, none but these
    are kept."""
    if not values:
        return
    try:
        if client().hlen(key) + len(values) > most:
            client().delete(key)
        with client().pipeline(transaction=False) as pipe:
            pipe.hset(key, items=[part for pair in values.items() for part in pair])
            pipe.expire(key, seconds)
            pipe.execute()
    except redis.RedisError:
        raise QueueUnavailable from None


def beat_heart(pool: str, worker: str) -> None:
    """Say that `worker` of `pool` is alive and ready for tasks."""
    client().set(f"lookalike:worker:{pool}:{worker}", b"1", ex=_HEARTBEAT_LIFE)


def stop_heart(pool: str, worker: str) -> None:
    client().delete(f"lookalike:worker:{pool}:{worker}")


def workers(pool: str) -> int:
    """Return how many workers of `pool` have shown life lately."""
    try:
        return sum(1 for _ in client().scan_iter(f"lookalike:worker:{pool}:*", count=1000))
    except redis.RedisError:
        raise QueueUnavailable from None


# Pictures that became searchable, counted by the minute: what a rate is made of.
COUNTED_MINUTES = 15


def _count_key(minute: int) -> str:
    return f"lookalike:ready:{minute}"


def count_ready(number: int) -> None:
    """Count pictures that a worker has just finished."""
    key = _count_key(int(time.time() // 60))
    with client().pipeline(transaction=False) as pipe:
        pipe.incrby(key, number)
        pipe.expire(key, (COUNTED_MINUTES + 2) * 60)
        pipe.execute()


@dataclass(frozen=True)
class Life:
    """What Redis knows of the workers and their work at one moment."""

    queues: dict[str, int]  # tasks that wait, by queue
    workers: dict[str, dict[str, float]]  # pool -> worker -> seconds since its last sign of life
    ready: list[int]  # pictures made searchable: in this minute so far, in the one before, …


def life() -> Life:
    """Look at queues, heartbeats and counters; raises QueueUnavailable."""
    minute = int(time.time() // 60)
    names = (QUERY, INGEST, MAINTENANCE)
    prefix = "lookalike:worker:"
    try:
        beats = sorted(client().scan_iter(f"{prefix}*", count=1000))
        with client().pipeline(transaction=False) as pipe:
            for name in names:
                pipe.llen(name)
            pipe.mget([_count_key(minute - back) for back in range(COUNTED_MINUTES + 1)])
            for beat in beats:
                pipe.pttl(beat)
            answers = pipe.execute()
    except redis.RedisError:
        raise QueueUnavailable from None
    workers: dict[str, dict[str, float]] = {}
    for beat, left in zip(beats, answers[len(names) + 1 :], strict=True):
        if left >= 0:
            pool, _, worker = beat.decode().removeprefix(prefix).partition(":")
            workers.setdefault(pool, {})[worker] = max(0.0, _HEARTBEAT_LIFE - left / 1000)
    return Life(
        queues=dict(zip(names, answers, strict=False)),
        workers=workers,
        ready=[int(number or 0) for number in answers[len(names)]],
    )
