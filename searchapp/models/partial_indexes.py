"""Conditions of partial indexes, as literal SQL.

SQLite uses a partial index only if a query repeats its condition literally. Django writes
conditions with parameters, from which SQLite cannot infer that one implies the other.
"""

from __future__ import annotations

from django.db.models import BooleanField
from django.db.models.expressions import RawSQL


def _literally(sql: str) -> RawSQL:
    return RawSQL(sql, [], output_field=BooleanField())  # noqa: S611 (constants of this file)


# Without a table name, because claims select their rows in a subquery, in which the table has an
# alias. Not for queries that join tables.
IMAGE_PENDING = _literally("state IN ('received', 'processing')")
IMAGE_UNFEATURED = _literally("state = 'ready' AND features <= 0 AND NOT (features = -1)")
JOB_ACTIVE = _literally("\"searchapp_importjob\".\"state\" IN ('queued', 'running')")
ITEM_HAS_CODE = _literally('NOT ("searchapp_importitem"."error_code" = \'\')')
