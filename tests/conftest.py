"""Fixtures that several folders of tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embeddings.thread_count import set_threads
from harness.installation import ROOT, Client, Installation, running
from tests import properties  # noqa: F401 (loads Hypothesis's profile)

# As in workers: several processes of tests share the cores, where two threads each would stall.
set_threads(1)


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    """A whole running application with the demo gallery, as a new user has it.

    Shared by the whole run: a test makes datasets of its own and leaves the demo as it is. Picture
    addresses may lead to the tests' own servers on loopback, and on a busy machine searches have
    the time to look at their matches again. What scores mean is known from the start. Its runtime
    is given: measuring has a long test of its own (`tests/application/test_data_folder.py`).
    """
    variables = {
        "LOOKALIKE_FETCH_ALLOWED_HOSTS": "127.0.0.1",
        "LOOKALIKE_RUNTIME": "openvino",
        "LOOKALIKE_VERIFY_MS": "3000",
    }
    with running(**variables) as application:
        application.wait_demo()
        calibrate = "from worker.tasks.calibration import calibrate; calibrate()"
        application.manage("shell", "-c", calibrate)
        yield application


@pytest.fixture(scope="session")
def admin(installation: Installation) -> Client:
    return Client(installation.url, installation.key("write"))


@pytest.fixture(scope="session")
def anyone(installation: Installation) -> Client:
    return Client(installation.url)


@pytest.fixture(scope="session")
def demo_files() -> list[Path]:
    return sorted((ROOT / "demo").glob("*.jpg"))


@pytest.fixture(autouse=True)
def quick_settings(settings: Any) -> None:
    """Pages in process name static files as they are, for nothing is collected for them; hashes of
    passwords are quick, for a safe one takes half a second."""
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
