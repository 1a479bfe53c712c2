"""Fixtures that several rooms share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.installation import ROOT, Client, Installation, running

# How long an example takes says nothing on a machine that does much else.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For runs of several processes: what shares an installation, or a file, runs in one."""
    for item in items:
        shares = "installation" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("installation" if shares else item.path.name))


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    """A whole running application with the demo gallery, as a new user has it.

    Shared by the whole run: a test makes datasets of its own and leaves the demo as it is. Picture
    addresses may lead to the tests' own servers on loopback.
    """
    with running(LOOKALIKE_FETCH_ALLOWED_HOSTS="127.0.0.1") as made:
        made.wait_demo()
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
