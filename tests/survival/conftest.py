"""An installation of their own for the tests that break things."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.installation import Client, Installation, running
from tests.survival.pictures import LIMIT


@pytest.fixture(scope="package")
def _survivor() -> Iterator[Installation]:
    # Small batches: a process that dies always dies in the middle of something.
    with running(
        LOOKALIKE_DEMO="0", LOOKALIKE_MAX_UPLOAD_BYTES=str(LIMIT), LOOKALIKE_INGEST_BATCH="8"
    ) as made:
        yield made


@pytest.fixture
def survivor(_survivor: Installation) -> Installation:
    """A running application whose parts may be killed; whole again before each test."""
    _survivor.wait_ready()
    return _survivor


@pytest.fixture(scope="package")
def owner(_survivor: Installation) -> Client:
    return Client(_survivor.url, _survivor.key("write"))
