"""Update many rows in one statement, cheaper than Django's `bulk_update`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection, models

# SQLite allows 32,766 parameters per statement.
_MAX_PARAMETERS = 30_000
_LENGTH = re.compile(r"\(\d+\)")


def update_rows(rows: Iterable[models.Model], fields: Sequence[str]) -> None:
    """Update `fields` of existing rows, all of one model.

    Does the same as Django's `bulk_update`, with `UPDATE … FROM (VALUES …)`. Django's builds an
    expression for each value of each row, which takes about 8 ms of CPU time per imported image.
    A row that no longer exists is skipped. Columns of images that filters use must still be
    changed with `bulk_update` (see `ImageQuerySet.update`), unless the state changes with them.
    """
    members = list(rows)
    if not members:
        return
    meta = members[0]._meta
    columns = [meta.get_field(name) for name in fields]
    at_once = _MAX_PARAMETERS // (1 + len(columns))
    for start in range(0, len(members), at_once):
        _update(members[start : start + at_once], meta.pk, columns)


def _update(rows: Sequence[models.Model], key: Any, columns: Sequence[Any]) -> None:
    fields = [key, *columns]
    quoted = connection.ops.quote_name
    table = quoted(rows[0]._meta.db_table)
    changes = ", ".join(
        f"{quoted(field.column)} = new.column{place}{_cast(field)}"
        for place, field in enumerate(columns, start=2)
    )
    one = f"({', '.join(['%s'] * len(fields))})"
    statement = (
        f"UPDATE {table} SET {changes} "  # noqa: S608 (names of our own tables and columns)
        f"FROM (VALUES {', '.join([one] * len(rows))}) AS new "
        f"WHERE {table}.{quoted(key.column)} = new.column1{_cast(key)}"
    )
    values = [
        field.get_db_prep_save(getattr(row, field.attname), connection)
        for row in rows
        for field in fields
    ]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def _cast(field: Any) -> str:
    """Return a cast to the type of the field, for PostgreSQL.

    PostgreSQL cannot infer the type of a column in which all values are null. The type has no
    length, because a cast to `varchar(10)` would silently truncate longer values.
    """
    if connection.vendor != "postgresql":
        return ""
    return "::" + _LENGTH.sub("", field.rel_db_type(connection))
