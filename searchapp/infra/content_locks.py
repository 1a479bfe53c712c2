"""Locks on contents: only one process at a time stores or removes files of one hash."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection


def lock_contents(hashes: Iterable[str]) -> None:
    """Hold these contents until the transaction ends. Call it inside `transaction.atomic`.

    PostgreSQL has advisory locks; taken in order, they cannot deadlock. SQLite lets one writer in
    at a time, and our transactions take that lock when they begin.
    """
    if connection.vendor != "postgresql":
        return
    keys = sorted({int(sha256[:15], 16) for sha256 in hashes})
    with connection.cursor() as cursor:
        for key in keys:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])
