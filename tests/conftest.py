"""Fixtures that several rooms share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from tests.installation import ROOT, Client, Installation, running

# How long an example takes says nothing on a machine that does much else.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


# The fixtures below that stand for the shared installation, as a test's file names them.
_SHARES = re.compile(r"\b(installation|admin|anyone): (Installation|Client|object)\b")


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """A file's tests run in one process, and so do all that share the installation."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "installation" if _SHARES.search((ROOT / file).read_text()) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """How runs of several processes share the tests out."""
    return ByFile(config, log)


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    """A whole running application with the demo gallery, as a new user has it.

    Shared by the whole run: a test makes datasets of its own and leaves the demo as it is. Picture
    addresses may lead to the tests' own servers on loopback, and on a busy machine searches have
    the time to look at their matches again. What scores mean is known from the start.
    """
    with running(LOOKALIKE_FETCH_ALLOWED_HOSTS="127.0.0.1", LOOKALIKE_VERIFY_MS="3000") as made:
        made.wait_demo()
        made.manage("shell", "-c", "from worker.tasks.calibration import calibrate; calibrate()")
        yield made


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
def plain_static_files(settings: object) -> None:
    """In-process pages name static files as they are: nothing is collected for them."""
    settings.STORAGES = settings.STORAGES | {  # type: ignore[attr-defined]
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
