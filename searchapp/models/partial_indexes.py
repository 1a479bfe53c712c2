"""Conditions of partial indexes, as literal SQL.

SQLite uses a partial index only where a query repeats its condition as it stands there: with
parameters, as Django writes its conditions, it cannot tell that one implies the other.
"""

from __future__ import annotations

from django.db.models import BooleanField
from django.db.models.expressions import RawSQL


def _literally(sql: str) -> RawSQL:
    return RawSQL(sql, [], output_field=BooleanField())  # noqa: S611 (constants of this file)


# Without the table's name: claims choose their rows in a subquery, where the table has another.
# Not for queries that join tables.
IMAGE_PENDING = _literally("state IN ('received', 'processing')")
IMAGE_UNFEATURED = _literally("state = 'ready' AND features <= 0 AND NOT (features = -1)")
JOB_ACTIVE = _literally("\"searchapp_importjob\".\"state\" IN ('queued', 'running')")
ITEM_HAS_CODE = _literally('NOT ("searchapp_importitem"."error_code" = \'\')')
