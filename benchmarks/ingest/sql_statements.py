"""Count the SQL statements of an import: `python -m benchmarks.ingest.sql_statements FOLDER`.

Does the ingest workers' work in this process, in the environment of a running installation whose
own ingest workers are paused.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "searchapp.settings.main")


class Counter:
    """Counts the SQL statements of this process."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        self.number += 1
        return execute(sql, params, many, context)


def count(folder: Path) -> int:
    """Import `folder` into a new dataset and return how many statements that took."""
    from django.contrib.auth import get_user_model
    from django.db import connection

    from searchapp.models import ENDED_JOBS, SourceKind
    from searchapp.services.datasets.dataset_service import create_dataset
    from searchapp.services.imports.creation import create
    from worker.tasks.imports import advance
    from worker.tasks.ingest import process

    owner = get_user_model().objects.get(username="admin")
    dataset = create_dataset(name="Counted", owner=owner)
    counter = Counter()
    with connection.execute_wrapper(counter):
        job = create(dataset, user=owner, kind=SourceKind.FOLDER, location=str(folder))
        while job.state not in ENDED_JOBS:
            advance()
            process()
            job.refresh_from_db(fields=["state"])
    return counter.number


def main() -> None:
    django.setup()
    print(json.dumps({"statements": count(Path(sys.argv[1]))}))


if __name__ == "__main__":
    main()
