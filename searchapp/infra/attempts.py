"""Counters of failed attempts: in Redis, for all processes; in this process while Redis is down."""

from __future__ import annotations

import hashlib
import time

import redis
from django.core.cache import cache

from searchapp.infra import queue


def _key(name: str) -> str:
    # Names of users are in it, which may be long, and are nobody's business.
    return f"lookalike:attempts:{hashlib.sha256(name.encode()).hexdigest()}"


def count(name: str, seconds: int) -> None:
    """Count an attempt. The counter is forgotten `seconds` after its first one."""
    key = _key(name)
    try:
        with queue.client().pipeline() as pipe:
            pipe.set(key, 0, ex=seconds, nx=True)
            pipe.incr(key)
            pipe.execute()
    except redis.RedisError:
        number, left = _here(key)
        cache.set(key, (number + 1, time.time() + (left or seconds)), left or seconds)


def counted(name: str) -> tuple[int, int]:
    """Return the number of attempts, and the seconds until they are forgotten."""
    key = _key(name)
    try:
        with queue.client().pipeline() as pipe:
            pipe.get(key)
            pipe.ttl(key)
            number, left = pipe.execute()
    except redis.RedisError:
        return _here(key)
    return int(number or 0), max(0, int(left))


def forget(name: str) -> None:
    """Begin to count anew."""
    key = _key(name)
    cache.delete(key)
    try:
        queue.client().delete(key)
    except redis.RedisError:
        return


def _here(key: str) -> tuple[int, int]:
    number, ends = cache.get(key, (0, 0.0))
    return number, max(0, round(ends - time.time()))
