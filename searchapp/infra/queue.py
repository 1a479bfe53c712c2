"""Redis and Celery: tasks sent by name, replies, cached vectors, heartbeats.

The web process sends tasks by name and never imports the worker code that runs them.
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
    """Convert a redis-py address to kombu's form, which differs for Unix sockets."""
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


# Normally Redis answers at once. A hanging Redis keeps its connections open but does not answer, so
# the wait for an answer is limited.
_ANSWER_SECONDS = 3.0

_lock = threading.Lock()
_clients: dict[float, redis.Redis] = {}
_clients_of = 0


def client(patience: float = _ANSWER_SECONDS) -> redis.Redis:
    """Return the Redis client of this process, created after the fork.

    Its calls fail after `patience` seconds if Redis hangs, and at once if it is not running.
    """
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
                # A connection may be stale after a restart of Redis: one retry opens a new one.
                retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
            )
        return _clients[patience]


def ping() -> None:
    """Check that Redis answers. Raises `QueueUnavailable` when it does not."""
    try:
        client().ping()
    except redis.RedisError:
        raise QueueUnavailable from None


def queue_of(task: str) -> str:
    """Return the queue of the tasks with this name."""
    routes: dict[str, dict[str, str]] = celery_app.conf.task_routes
    family = f"{task.partition('.')[0]}.*"
    return routes.get(family, {}).get("queue", MAINTENANCE)


def send(task: str, *, answers: bool = False, expires: float | None = None, **kwargs: Any) -> None:
    """Send a task. Raises `QueueUnavailable` at once when Redis is down.

    With `answers`, the check that Redis answers is skipped: the caller has just had an answer.
    """
    if not answers:
        ping()  # kombu would retry for a long time; our client fails fast
    try:
        celery_app.send_task(task, kwargs=kwargs, expires=expires, retry=False)
    except (OperationalError, redis.RedisError, OSError):
        raise QueueUnavailable from None


# A lost call (for example, when Redis restarts) suppresses further calls for at most this long.
_CALLED_SECONDS = 10


def send_once(task: str) -> None:
    """Send a task without arguments, unless a call for it is already queued: see `called`."""
    try:
        if not client().set(f"lookalike:called:{task}", b"1", nx=True, ex=_CALLED_SECONDS):
            return
    except redis.RedisError:
        raise QueueUnavailable from None
    send(task, answers=True)


def called(task: str) -> None:
    """Note that a worker has started a task of `send_once`, so that the next call is sent."""
    try:
        client().delete(f"lookalike:called:{task}")
    except redis.RedisError:
        raise QueueUnavailable from None


def waiting(queue: str) -> int:
    """Return the number of tasks in `queue`."""
    try:
        return int(client().llen(queue))
    except redis.RedisError:
        raise QueueUnavailable from None


def waiting_of(queue: str, task: str, most: int = 100) -> int:
    """Return how many of the first `most` tasks in `queue` have this name."""
    named = f'"task": "{task}"'.encode()
    try:
        messages = cast(list[bytes], client().lrange(queue, 0, most - 1))
    except redis.RedisError:
        raise QueueUnavailable from None
    return sum(1 for message in messages if named in message)


def wait_for_reply(key: str, timeout: float) -> bytes | None:
    """Wait for the reply to a query task; return None if none arrives in `timeout` seconds."""
    try:
        patient = client(timeout + _ANSWER_SECONDS)
        item = cast(list[bytes] | None, patient.blpop([key], timeout=timeout))
    except redis.RedisError:
        raise QueueUnavailable from None
    return None if item is None else item[1]


def reply(key: str, payload: bytes, remember: tuple[str, int] | None = None) -> None:
    """Send the reply for `key`; it expires after a minute if no caller fetches it.

    With `remember`, a key and a number of seconds, the payload is also cached under that key.
    """
    with client().pipeline(transaction=False) as pipe:
        pipe.rpush(key, payload)
        pipe.expire(key, 60)
        if remember is not None:
            pipe.set(remember[0], payload, ex=remember[1])
        pipe.execute()


def recall(key: str, queue: str) -> tuple[bytes | None, int]:
    """Return the payload cached under `key`, and the number of tasks in `queue`."""
    try:
        with client().pipeline(transaction=False) as pipe:
            pipe.get(key)
            pipe.llen(queue)
            payload, number = pipe.execute()
    except redis.RedisError:
        raise QueueUnavailable from None
    return cast(bytes | None, payload), int(number)


def recall_fields(key: str, fields: Sequence[str]) -> dict[str, bytes]:
    """Return the values cached under `key` for those of `fields` that are present."""
    if not fields:
        return {}
    try:
        values = cast(list[bytes | None], client().hmget(key, list(fields)))
    except redis.RedisError:
        raise QueueUnavailable from None
    return {field: value for field, value in zip(fields, values, strict=True) if value is not None}


def remember_fields(key: str, values: Mapping[str, bytes], seconds: int, most: int) -> None:
    """Cache `values` under `key` for `seconds`.

    If there would be more than `most` fields, those cached before are deleted first.
    """
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


# Replies to fetches that are under way, with the time by which each has ended in any case.
_FETCHES = "lookalike:fetches"


def begin_fetch(reply: str, most: int, seconds: float) -> bool:
    """Count a fetch that a query worker will do; return False where `most` are under way.

    It is counted until `end_fetch`, or for `seconds`.
    """
    now = time.time()
    try:
        with client().pipeline() as pipe:
            pipe.zremrangebyscore(_FETCHES, 0, now)
            pipe.zadd(_FETCHES, {reply: now + seconds})
            pipe.zcard(_FETCHES)
            *_, number = pipe.execute()
        if int(number) > most:
            client().zrem(_FETCHES, reply)
            return False
    except redis.RedisError:
        raise QueueUnavailable from None
    return True


def end_fetch(reply: str) -> None:
    """Count a fetch no longer."""
    try:
        client().zrem(_FETCHES, reply)
    except redis.RedisError:
        return  # it is forgotten in time


def beat_heart(pool: str, worker: str) -> None:
    """Record that `worker` of `pool` is alive and ready for tasks."""
    client().set(f"lookalike:worker:{pool}:{worker}", b"1", ex=_HEARTBEAT_LIFE)


def stop_heart(pool: str, worker: str) -> None:
    client().delete(f"lookalike:worker:{pool}:{worker}")


def workers(pool: str) -> int:
    """Return the number of workers of `pool` with a recent heartbeat."""
    try:
        return sum(1 for _ in client().scan_iter(f"lookalike:worker:{pool}:*", count=1000))
    except redis.RedisError:
        raise QueueUnavailable from None


# Images that became searchable are counted per minute, over this many minutes, to show a rate.
COUNTED_MINUTES = 15


def _count_key(minute: int) -> str:
    return f"lookalike:ready:{minute}"


def count_ready(number: int) -> None:
    """Count images that a worker has just finished."""
    key = _count_key(int(time.time() // 60))
    with client().pipeline(transaction=False) as pipe:
        pipe.incrby(key, number)
        pipe.expire(key, (COUNTED_MINUTES + 2) * 60)
        pipe.execute()


@dataclass(frozen=True)
class Life:
    """A snapshot of the queues, workers and counters in Redis."""

    queues: dict[str, int]  # tasks by queue
    workers: dict[str, dict[str, float]]  # pool -> worker -> seconds since heartbeat
    ready: list[int]  # images made searchable: in this minute so far, in the one before, …


def life() -> Life:
    """Read queues, heartbeats and counters.

    Raises `QueueUnavailable` when Redis cannot be reached.
    """
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
