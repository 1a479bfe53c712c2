"""Rows and files to import from, without any running service: Redis and Milvus are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchapp.models import ImportJob
from searchapp.services.images import moves
from searchapp.services.imports import job_progress, step
from searchapp.services.ingest import claims


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The one folder of the server that imports may read."""
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)
    return root


def run(job: ImportJob, *, bad: frozenset[str] = frozenset()) -> None:
    """Do all that workers would do for imports: theirs in truth, and of the model's only what it
    writes into the ledger."""
    for _ in range(1000):
        more = step.advance()
        images = claims.claim(64)
        claims.fail([image for image in images if image.name in bad], "internal_error", "x")
        claims.finish([image for image in images if image.name not in bad], into=[])
        moves.finish_moves()
        if not more and not images:
            break
    job_progress.settle_all()
    job.refresh_from_db()


def rows(job: ImportJob) -> list[tuple[str, str, str]]:
    """The ledger: name, state, code."""
    entries = job.items.order_by("position").values_list("name", "state", "error_code")
    return [(name, state, code) for name, state, code in entries]
