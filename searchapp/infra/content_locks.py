"""Locks on content hashes: only one process at a time stores or removes files of a hash."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection


def lock_contents(hashes: Iterable[str]) -> None:
    """Lock these hashes until the transaction ends. Call it inside `transaction.atomic`.

    PostgreSQL has advisory locks; acquired in sorted order, they cannot deadlock. SQLite allows
    one writer at a time, and our transactions acquire that lock when they begin.
    """
    if connection.vendor != "postgresql":
        return
    keys = sorted({int(sha256[:15], 16) for sha256 in hashes})
    with connection.cursor() as cursor:
        for key in keys:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])
